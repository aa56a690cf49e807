#!/usr/bin/env bash
# Runs the installed tap against the sandbox with other versions of its dependencies: `lowest`, those that pyproject.toml still allows, or `next-sdk`, singer-sdk's newest with
# pre-releases.
set -euo pipefail
cd "$(dirname "$0")/.."
versions=${1:-lowest}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $versions in
  lowest) options=(--resolution lowest-direct) ;;
  next-sdk)
    echo singer-sdk > "$folder/overrides.txt" # without an upper bound
    options=(--overrides "$folder/overrides.txt" --prerelease allow)
    export UV_EXCLUDE_NEWER="0 days" # pyproject.toml has a fixed day
    ;;
  *)
    echo "The versions are lowest or next-sdk, not $versions." >&2
    exit 2
    ;;
esac

python=$(uv run python -c 'import sys; print(sys.executable)')
uv pip compile --quiet --python "$python" --all-extras "${options[@]}" \
  --output-file "$folder/requirements.txt" pyproject.toml
grep -E '^[a-z]' "$folder/requirements.txt"
uv venv --quiet --python "$python" "$folder/venv"
uv pip install --quiet --python "$folder/venv" --requirements "$folder/requirements.txt"
uv pip install --quiet --python "$folder/venv" --no-deps .

# Every module imports, the catalog is the same, and a test and a sync work.
"$folder/venv/bin/python" -I -c 'import importlib, pkgutil, tap_jobo
for each in pkgutil.walk_packages(tap_jobo.__path__, "tap_jobo."):
    importlib.import_module(each.name)'
tap=$folder/venv/bin/tap-jobo
catalog() { "$@" --discover 2> /dev/null | python3 -m json.tool --sort-keys; }
diff <(catalog "$tap") <(catalog uv run tap-jobo)
sandbox=(uv run --project "$PWD" python -m jobo_sandbox --no-postgres)
cd "$folder" # where the sandbox keeps its files
"${sandbox[@]}" "$tap" --config ENV --test > test.jsonl
"${sandbox[@]}" "$tap" --config ENV > rows.jsonl
test "$(grep -c '"RECORD"' test.jsonl)" = 1
test "$(grep -c '"RECORD"' rows.jsonl)" = 300
echo "The tap works with these versions."
