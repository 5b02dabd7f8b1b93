//! The domain stays pure: what it may depend on is a list, and this is the test of it.

use std::process::Command;

/// No runtime, no database, no clock, no randomness.
const ALLOWED: [&str; 7] =
    ["iso_currency", "rust_decimal", "serde", "serde_json", "sha2", "thiserror", "time"];

#[test]
fn the_domain_depends_on_nothing_that_does_io() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "domain", "-e", "normal", "--depth", "1"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<&str> =
        text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(!names.is_empty());
    for name in names {
        // uuid is a format here; its generators are disallowed by clippy.toml.
        assert!(ALLOWED.contains(&name) || name == "uuid", "the domain may not depend on `{name}`");
    }
}
