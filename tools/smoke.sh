#!/usr/bin/env bash
# Runs the installed tap against the sandbox with other versions of its dependencies: `lowest` or
# `newest`, those that pyproject.toml allows, or `next`, pre-releases without an upper bound. All are
# up to the day that pyproject.toml fixes; the weekly workflow runs without that day.
set -euo pipefail
cd "$(dirname "$0")/.."
versions=${1:-lowest}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $versions in
  lowest) options=(--resolution lowest-direct) ;;
  newest) options=(--resolution highest) ;;
  next)
    echo singer-sdk > "$folder/overrides.txt"
    options=(--overrides "$folder/overrides.txt" --prerelease allow)
    ;;
  *)
    echo "The versions are lowest, newest, or next, not $versions." >&2
    exit 2
    ;;
esac

python=$(uv run python -c 'import sys; print(sys.executable)')
uv pip compile --quiet --python "$python" --all-extras "${options[@]}" \
  --output-file "$folder/requirements.txt" pyproject.toml
uv venv --quiet --python "$python" "$folder/venv"
uv pip install --quiet --python "$folder/venv" --requirements "$folder/requirements.txt"
uv pip install --quiet --python "$folder/venv" --no-deps .

# Every module imports, the catalog is the same, and a test and a sync of all streams work.
"$folder/venv/bin/python" -I -c 'import importlib, pkgutil, tap_jobo
for each in pkgutil.walk_packages(tap_jobo.__path__, "tap_jobo."):
    importlib.import_module(each.name)'
tap=$folder/venv/bin/tap-jobo
catalog() { "$@" --discover 2> /dev/null | python3 -m json.tool --sort-keys; }
diff <(catalog "$tap") <(catalog uv run tap-jobo)
"$tap" --discover 2> /dev/null | python3 -c 'import json, sys
catalog = json.load(sys.stdin)
for stream in catalog["streams"]:
    root = next(each["metadata"] for each in stream["metadata"] if not each["breadcrumb"])
    root["selected"] = True
json.dump(catalog, sys.stdout)' > "$folder/catalog.json"
sandbox=(uv run --project "$PWD" python -m jobo_sandbox --no-postgres --no-rate-limits --size 60)
cd "$folder" # where the sandbox keeps its files
"${sandbox[@]}" "$tap" --config ENV --test > test.jsonl 2> log.txt || { cat log.txt; exit 1; }
"${sandbox[@]}" "$tap" --config ENV --catalog catalog.json > rows.jsonl 2> log.txt ||
  { cat log.txt; exit 1; }
rows() { grep -c "\"RECORD\",\"stream\":\"$1\"" "$2"; } # none is a failure
test "$(rows career_sites test.jsonl)" = 1
test "$(rows career_sites rows.jsonl)" = 60
test "$(rows companies rows.jsonl)" = 60
for stream in jobs managed_jobs expired_jobs billed_pages; do
  rows "$stream" rows.jsonl > /dev/null
done
echo "The tap works with the $versions versions, such as $(grep ^singer-sdk requirements.txt)."
