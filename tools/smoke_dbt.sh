#!/usr/bin/env bash
# Builds the dbt package as a dependency of other projects, on DuckDB, with other versions of dbt: `lowest`,
# the oldest that the package allows, with the DuckDB that target-duckdb needs, or `newest` of both.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$PWD/dbt
excludes=$PWD/excludes.txt
versions=${1:-lowest}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $versions in
  lowest)
    oldest=$(sed -n 's/^require-dbt-version: \[">=\([0-9.]*\)".*/\1/p' dbt/dbt_project.yml)
    packages=(--from "dbt-core==$oldest" --with dbt-duckdb --with 'duckdb<1.3' --python '<3.14')
    ;;
  newest) packages=(--from 'dbt-core<2' --with dbt-duckdb --with duckdb) ;;
  *)
    echo "The versions are lowest or newest, not $versions." >&2
    exit 2
    ;;
esac
# What `uv pip install --excludes` leaves out, in the form that `uv tool run` takes.
sed "/^#/d; s/$/ ; python_version < '0'/" "$excludes" > "$folder/overrides.txt"
dbt() {
  echo "dbt $*"
  uv tool run --quiet --overrides "$folder/overrides.txt" "${packages[@]}" dbt --quiet "$@" \
    --profiles-dir "$package" --target duckdb
}
export DBT_DUCKDB_PATH=$folder/jobo.duckdb DBT_SEND_ANONYMOUS_USAGE_STATS=false

# A project with nothing but the package, no variables, and no tables.
mkdir "$folder/empty"
cd "$folder/empty"
printf '%s\n' 'name: empty' 'config-version: 2' 'profile: jobo' > dbt_project.yml
printf '%s\n' 'packages:' "  - local: $package" > packages.yml
dbt deps
dbt build

# The integration tests, on a copy, because dbt writes into it.
cp -r "$package" "$folder/package"
cd "$folder/package/integration_tests"
dbt deps
dbt seed
dbt build --exclude resource_type:seed
