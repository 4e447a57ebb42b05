#!/bin/sh
# Installs `sentry` for a user.
#
#   sh install.sh                  builds it from this checkout (needs a Rust toolchain)
#   sh install.sh VERSION          takes the release archive of that version, for example 0.1.0
#
# It goes to PREFIX/bin when PREFIX is set, otherwise to ~/.local/bin. `update.sh` does the same for a `sentry` that is
# installed already. Both put the new program in place by one rename, after it has said its version: a `sentry` that is
# running goes on undisturbed, and one that would not start replaces nothing.
#
# Archives come from SENTRY_RELEASES (a directory, or a URL of https:// or file://), which holds
#   sentry-VERSION-ARCH-linux.tar.gz           with the file `sentry` in it
#   sentry-VERSION-ARCH-linux.tar.gz.sha256    its line as sha256sum(1) prints it
set -eu

say() { printf '%s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  help: %s\n' "$hint" >&2; done
    exit 1
}

usage() {
    sed -n '2,/^set -eu/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"
}

case "${1-}" in
-h | --help)
    usage
    exit 0
    ;;
-*) fail "unknown option \`$1\`" "sh $0 --help" ;;
esac
[ $# -le 1 ] || fail "too many arguments" "sh $0 --help"
version=${1-}
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

if [ -n "${PREFIX-}" ]; then
    bin=$PREFIX/bin
elif [ -n "${HOME-}" ]; then
    bin=$HOME/.local/bin
else
    fail "neither PREFIX nor HOME is set" "PREFIX=/usr/local sh $0"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/sentry-install.XXXXXX")
staged=
trap 'rm -rf "$work"; [ -z "$staged" ] || rm -f "$staged"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# fetch NAME: puts a file of the release into $work.
fetch() {
    case "$SENTRY_RELEASES" in
    https://*)
        if command -v curl >/dev/null 2>&1; then
            curl --fail --silent --show-error --location --proto '=https' --output "$work/$1" "$SENTRY_RELEASES/$1"
        elif command -v wget >/dev/null 2>&1; then
            wget --quiet --https-only --output-document="$work/$1" "$SENTRY_RELEASES/$1"
        else
            fail "neither curl nor wget is here" "download $SENTRY_RELEASES/$1 by hand and set SENTRY_RELEASES to its directory"
        fi
        ;;
    file://*) cp -- "${SENTRY_RELEASES#file://}/$1" "$work/$1" ;;
    *://*) fail "SENTRY_RELEASES is neither a directory nor https:// nor file://: $SENTRY_RELEASES" ;;
    *) cp -- "$SENTRY_RELEASES/$1" "$work/$1" ;;
    esac || fail "cannot get $1 from $SENTRY_RELEASES" "is there a release $version for this machine?"
}

from_release() {
    case "$version" in
    *[!0-9A-Za-z.+-]*) fail "\`$version\` is no version" "for example 0.1.0" ;;
    esac
    [ -n "${SENTRY_RELEASES-}" ] || fail "SENTRY_RELEASES is not set, so it is not known where releases are" \
        "SENTRY_RELEASES=https://… sh $0 $version" "without a version, \`sh $0\` builds from this checkout"
    command -v sha256sum >/dev/null 2>&1 || fail "sha256sum is not here, so the archive cannot be verified" "install coreutils"
    archive=sentry-$version-$(uname -m)-linux.tar.gz
    fetch "$archive"
    fetch "$archive.sha256"
    # The file must speak of this archive: sha256sum is satisfied by any line that holds.
    expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$archive\$/\1/p" "$work/$archive.sha256")
    actual=$(sha256sum <"$work/$archive")
    [ -n "$expected" ] || fail "$archive.sha256 holds no checksum of $archive; nothing was installed"
    [ "$expected" = "${actual%% *}" ] || fail "the checksum of $archive is wrong; nothing was installed" \
        "expected $expected" "     got ${actual%% *}"
    tar -xzf "$work/$archive" -C "$work" sentry || fail "$archive holds no \`sentry\`; nothing was installed"
    { [ -f "$work/sentry" ] && [ ! -L "$work/sentry" ]; } || fail "\`sentry\` in $archive is no file; nothing was installed"
    built=$work/sentry
}

from_checkout() {
    [ -f "$checkout/Cargo.toml" ] || fail "$checkout is no checkout of sentry" "sh $0 VERSION takes a release"
    command -v cargo >/dev/null 2>&1 || fail "a Rust toolchain is needed to build sentry" "https://rustup.rs"
    say "building sentry (release), which takes a few minutes"
    target=${CARGO_TARGET_DIR:-$checkout/target}
    cargo build --manifest-path "$checkout/Cargo.toml" --target-dir "$target" --release --locked --bin sentry ||
        fail "the build has failed; nothing was installed"
    built=$target/release/sentry
}

if [ -n "$version" ]; then from_release; else from_checkout; fi

mkdir -p "$bin"
# In the same directory as the program it replaces, so that the rename is atomic.
staged=$bin/.sentry.new.$$
cp -- "$built" "$staged"
chmod 755 "$staged"
said=$("$staged" --version) || fail "the new sentry does not start; nothing was replaced"
[ -z "$version" ] || [ "$said" = "sentry $version" ] || fail "the archive of $version holds \`$said\`; nothing was replaced"
before=$("$bin/sentry" --version 2>/dev/null) || before=
mv -f -- "$staged" "$bin/sentry"
staged=

if [ -z "$before" ]; then
    say "installed $said: $bin/sentry"
else
    say "replaced $before by $said: $bin/sentry"
fi
case ":${PATH-}:" in
*":$bin:"*) ;;
*) say "note: $bin is not in PATH; add it: export PATH=\"$bin:\$PATH\"" ;;
esac
