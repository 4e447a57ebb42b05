#!/bin/sh
# Licences, sources and the size of the dependency tree, and that nothing is named which nothing uses. Needs nothing but cargo
# and python3, so that it runs everywhere.
set -eu
cd "$(dirname "$0")/../.."
# What is built into the program, on any platform. Raise it with a reason in the commit.
limit=100
count=$(cargo tree --locked --prefix none -e normal --target all | sed 's/ (\*)$//' | sort -u | wc -l)
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
# Named in Cargo.toml and nowhere else: dead weight.
unused=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, pathlib, re, sys
source = "".join(path.read_text() for room in ("src", "tests", "benches") for path in pathlib.Path(room).rglob("*.rs"))
for dependency in json.load(sys.stdin)["packages"][0]["dependencies"]:
    name = (dependency["rename"] or dependency["name"]).replace("-", "_")
    if not re.search(r"\b%s\b" % name, source):
        print(dependency["name"])
')
[ -z "$unused" ] || { printf 'deny: nothing uses %s\n' "$unused" >&2; exit 1; }
echo "deny: $count packages, all licences compatible, none unused"
