# Everything sets itself up: a fresh machine needs Rust, Python 3 with pip, and make.

.DEFAULT_GOAL := help
.PHONY: help services build test demo up chaos chaos-hostile bench lint docs

DATA ?= .runut
PAYMENTS ?= 500
SECONDS ?= 60
TARGET := $(or $(CARGO_TARGET_DIR),target)

# A database or PSPs that the shell has set for another program, or for another run, are not this one's.
unexport DATABASE_URL NATS_URL RUNUT_PSPS_FILE

help: ## What there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

services: ## PostgreSQL, NATS and Beancount into .services/ (pinned, hash-checked; quick if there)
	@services/install.sh

build: ## Both programs: runut and replay-tool
	cargo build --locked --bins

test: services build ## The whole suite, on a Postgres and a NATS of its own
# Not by `cargo run`: the variables that it sets would make the cargo inside build dependencies again.
	$(TARGET)/debug/runut services run -- cargo test --locked --workspace

demo: services build ## Two marketplaces trade on a fresh deployment; ends with the proof
	$(TARGET)/debug/runut demo

up: services build ## A deployment in the foreground; its URLs and keys are in $(DATA)/endpoints.env
	$(TARGET)/debug/runut up --data $(DATA)

chaos: services build ## The chaos gate with PAYMENTS payments (500): PSPs that fail, processes that are killed
	$(TARGET)/debug/runut chaos --payments $(PAYMENTS)

chaos-hostile: services ## The hostile gate for SECONDS (60): floods, slow peers, leaked keys, clocks that leap; in release mode
	cargo build --locked --release --bins
	$(TARGET)/release/runut chaos --hostile --seconds $(SECONDS)

bench: services ## Every measurement, in release mode; what the README's tables say among them
	cargo build --locked --release --bins
	$(TARGET)/release/runut bench append
	$(TARGET)/release/runut bench replay
	$(TARGET)/release/runut bench lag
	$(TARGET)/release/runut bench http --loads uniform:1000,uniform:2,zipf:100000 --find-limit
	$(TARGET)/release/runut bench batch
	$(TARGET)/release/runut bench history
	$(TARGET)/release/runut bench payments --rates 300,1000,1200,1400
	$(TARGET)/release/runut bench payments --rates 300 --faults-percent 2

lint: ## Formatting, clippy and docs as CI checks them
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
