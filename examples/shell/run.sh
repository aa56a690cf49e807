#!/usr/bin/env bash
# Runs the tap without Meltano, and keeps the state in state.json. If the run fails, this saves the
# last state that the target emitted. If there is none, the old state stays. With
# "archive_dir": "archive" in config.json, the archive is beside it. Both must last.
PATH="$PATH:$HOME/.local/bin" # where uv installs programs, which cron does not look in
set -o pipefail
[ -s state.json ] || echo '{}' > state.json
status=0
tap-jobo --config config.json --state state.json | target-jsonl > states.jsonl || status=$?
[ ! -s states.jsonl ] || { tail -n 1 states.jsonl > state.new && mv state.new state.json; }
exit "$status"
