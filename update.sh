#!/bin/sh
# Updates an installed `sentry`, where it is: in PREFIX/bin when PREFIX is set, otherwise where PATH finds it.
#
#   sh update.sh                   by what this checkout builds (`git pull` first)
#   sh update.sh VERSION           by a release, see install.sh
#
# A run that is being supervised is not disturbed: its monitor goes on as the old version until it is started anew
# (`sentry detach && sentry run` adopts the child).
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
case "${1-}" in
-h | --help)
    sed -n '2,/^set -eu/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"
    exit 0
    ;;
esac
if [ -n "${PREFIX-}" ]; then
    found=$PREFIX/bin/sentry
else
    found=$(command -v sentry) || found=${HOME-}/.local/bin/sentry
fi
if [ ! -x "$found" ]; then
    printf 'error: no installed sentry was found at %s\n  help: sh install.sh\n' "$found" >&2
    exit 1
fi
found=$(realpath -- "$found")
case "$found" in
*/bin/sentry) ;;
*)
    printf 'error: %s is in no bin directory\n  help: PREFIX=… sh install.sh\n' "$found" >&2
    exit 1
    ;;
esac
export PREFIX="${found%/bin/sentry}"
exec sh "$here/install.sh" "$@"
