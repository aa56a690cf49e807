# The commands of this project: `uv run just` lists them, `uv run just NAME` runs one.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

# list the commands
@_default:
    just --list --unsorted

# install everything that the other commands need
setup:
    uv sync --all-groups

# format the code
format:
    uv run ruff format
    uv run ruff check --fix

# check format, lint, declared dependencies and workflows
lint:
    uv run ruff format --check
    uv run ruff check
    uv run lint-imports
    uv run deptry tap_jobo
    uv run zizmor --offline --pedantic --quiet .github
    uv run check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    uv run check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
    uv run check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/{bug,feature}.yml
    uv run check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

# check types
types:
    uv run mypy

# run the tests, or those named: just test tests/cli/test_cli.py -k about
test *arguments:
    uv run pytest "$@"

# run the tests, or those named, and show which branches of the tap they leave out
coverage *arguments:
    uv run coverage erase
    uv run coverage run -m pytest "$@"
    uv run coverage combine --quiet
    uv run coverage report

# change line by line what scan and money rest on, and show the changes that no test notices
mutation *modules:
    uv run --group mutation tools/mutation.py "$@"

# write what other files repeat of the code: tables, settings, catalog snapshots
generate:
    uv run tools/generate.py

# write the README's table of costs and the charts of examples, from runs against the sandbox
measure:
    uv run tools/costs.py
    uv run tools/draw_charts.py

# measure speed and memory
bench *arguments:
    uv run -m benchmarks "$@"

# build the wheel and the source distribution into dist
build:
    uv build

# run a command against the stand-in of the API: just sandbox meltano run tap-jobo target-postgres
sandbox *arguments:
    uv run -m jobo_sandbox "$@"
