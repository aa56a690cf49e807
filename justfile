# The commands of this project: `uv run just` lists them, `uv run just NAME` runs one.

set positional-arguments

# list the commands
@_default:
    just --list --unsorted

# install everything that the other commands need
setup:
    uv sync --all-groups

# check format, lint and declared dependencies
lint:
    uv run ruff format --check
    uv run ruff check
    uv run deptry tap_jobo
    uv run zizmor --offline --pedantic --quiet .github

# check types
types:
    uv run mypy

# run the tests, or those named: just test tests/test_cli.py -k about
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

# measure speed and memory
bench *arguments:
    uv run -m benchmarks "$@"

# build the wheel and the source distribution into dist
build:
    uv build

# run a command against the stand-in of the API: just sandbox meltano run tap-jobo target-postgres
sandbox *arguments:
    uv run -m jobo_sandbox "$@"
