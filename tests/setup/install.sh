#!/bin/sh
# Installs what the tests need on Debian and Ubuntu: interpreters and compilers of the supervised example programs, the C++
# compiler of the fuzzer's engine, and cargo-nextest. Does nothing for what is there already. Run as root, or with sudo available.
#
# What cannot be installed is said in one line each; the tests that need it report themselves as skipped with that reason.
set -eu

missing=""
need() { # need PROGRAM PACKAGE…
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 || missing="$missing $*"
}
need cc gcc libc6-dev
need c++ g++
need make make
need git git
need python3 python3
need node nodejs
need go golang-go
need javac default-jdk-headless
need tmux tmux

if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1; then
        as_root=""
        [ "$(id -u)" = 0 ] || as_root=sudo
        export DEBIAN_FRONTEND=noninteractive
        $as_root apt-get -o DPkg::Lock::Timeout=600 update -qq || echo "setup: the package lists could not be updated" >&2
        # One by one, so that one missing package does not cost the others.
        for package in $missing; do
            $as_root apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "$package" >/dev/null ||
                echo "setup: $package could not be installed; tests that need it will be skipped" >&2
        done
    else
        echo "setup: no apt-get here; please install by hand:$missing" >&2
    fi
fi

command -v cargo >/dev/null 2>&1 || { echo "setup: a Rust toolchain is needed, see https://rustup.rs" >&2; exit 1; }
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
