#!/bin/sh
# Licences, sources and the size of the dependency tree. Uses `cargo deny` where it is installed for the licence texts; the
# checks below need nothing but cargo and python3, so that they run everywhere.
set -eu
cd "$(dirname "$0")/../.."
limit=170
count=$(cargo tree --locked --prefix none -e normal --target all 2>/dev/null | sed 's/ (\*)$//' | sort -u | wc -l)
if [ "$count" -gt "$limit" ]; then
    echo "deny: $count packages in the dependency tree, the limit is $limit" >&2
    exit 1
fi
cargo metadata --locked --format-version 1 | python3 -c '
import json, re, sys
# Licences that Apache-2.0 code may be combined with; an expression passes when one alternative of each part is here.
good = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "Unlicense", "CC0-1.0", "MIT-0",
        "0BSD", "Apache-2.0 WITH LLVM-exception", "BSL-1.0", "MPL-2.0"}
bad = []
for package in json.load(sys.stdin)["packages"]:
    if package["source"] is None:
        continue
    if not package["source"].startswith("registry+"):
        bad.append("%(name)s: comes from %(source)s" % package)
    licence = package["license"] or ""
    parts = re.split(r"\s+AND\s+", licence.replace("/", " OR ").replace("(", "").replace(")", ""))
    if not all(any(one.strip() in good for one in part.split(" OR ")) for part in parts):
        bad.append("%(name)s %(version)s: licence %(license)s" % package)
print("\n".join(bad), file=sys.stderr) if bad else None
sys.exit(bool(bad))
'
echo "deny: $count packages, all licences compatible"
