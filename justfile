# Tasks of this project: `uv run just` lists them, `uv run just NAME` runs one.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

# list the tasks
@_default:
    just --list --unsorted

# install everything that the other tasks need
setup:
    uv sync --all-groups

# format the code
format:
    uv run ruff format
    uv run ruff check --fix

# check format, lint, spelling, declared dependencies and workflows
lint:
    uv run ruff format --check
    uv run ruff check
    uv run lint-imports
    uv run deptry tap_jobo
    uv run typos
    uv run zizmor --offline --pedantic --quiet .github examples/github-actions/jobo.yml
    uv run check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/github-actions/*.yml
    uv run check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
    uv run check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/{api-check,bug,feature}.yml
    uv run check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

# check types
types:
    uv run mypy

# run what needs no Postgres, Meltano, or dbt, and does not take long: for each save
fast *arguments:
    uv run pytest -m "not exhaustive and not slow" "$@"

# run all tests but those that take long, or some: just test tests/cli/test_cli.py -k about
test *arguments:
    uv run pytest "$@"

# run the tests that take long: worlds at random, all commands of the docs, builds of dbt
exhaustive *arguments:
    uv run pytest -m exhaustive "$@"

# run all tests, or some, and show branches of the tap that they do not reach
coverage *arguments:
    uv run coverage erase
    uv run coverage run -m pytest -m "exhaustive or not exhaustive" "$@"
    uv run coverage combine --quiet
    uv run coverage report

# write tables, settings, and dbt sources from the code
generate:
    uv run tools/generate.py

# build the documentation into docs/_build; any warning is an error
docs *arguments:
    uv run sphinx-build -W --keep-going --fresh-env "$@" docs docs/_build

# write the answers and the charts of the documentation from sandbox runs
measure:
    uv run tools/answers.py

# load what the tap emits into targets from PyPI and compare
targets *names:
    uv run tools/try_targets.py "$@"

# measure speed and memory; at the pace of the API: just bench --only pace
bench *arguments:
    uv run -m benchmarks "$@"

# write what a crash costs, with the tap and without it, to the documentation
crash-cost *arguments:
    uv run -m benchmarks.crash_cost "$@"

# play 5 random worlds of the loader's tables, and build them on each warehouse
dbt-worlds:
    JOBO_WORLDS=5 uv run pytest tests/project/test_dbt_tables.py -m exhaustive -k incremental

# play random histories of the installed tap, on all cores, or of the archive's rules: just explore 30 memory
explore minutes *kinds:
    uv run tools/explore.py "$@"

# change the code in so many places, one at a time, and show where no near test fails: just mutants 20
mutants count *options:
    uv run tools/mutants.py "$@"

# build the wheel and the source distribution into dist
build:
    uv build

# check what the tap assumes about the API: the sandbox's, or with --api-key the real one
contract *arguments:
    uv run -m jobo_sandbox contract "$@"

# write the texts of all messages to tests/snapshots/messages.txt, to read what a change does to them
messages:
    JOBO_WRITE_MESSAGES=1 uv run pytest tests/cli/test_messages.py -n 0 -q

# write the definition for Meltano Hub
hub:
    uv run tools/hub.py

# sync the sandbox with the lowest versions that pyproject.toml allows, or: just smoke newest|next
smoke versions="lowest":
    tools/smoke.sh "$1"

# build the dbt package in another project with the oldest dbt that it allows, or: just smoke-dbt newest
smoke-dbt versions="lowest":
    tools/smoke_dbt.sh "$1"

# measure what a build of the dbt package takes, and write it to the documentation
dbt-speed *arguments:
    uv run tools/dbt_speed.py "$@"

# run a command against the sandbox: just sandbox meltano run tap-jobo target-postgres
sandbox *arguments:
    uv run -m jobo_sandbox "$@"
