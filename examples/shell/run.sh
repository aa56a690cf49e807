#!/usr/bin/env bash
# Runs the tap without Meltano, and keeps the state in state.json. If the run fails, this saves the
# last state that the target emitted. If there is none, the old state stays. With
# "archive_dir": "archive" in config.json, the archive is beside it. Both must last. TARGET is another
# target with its options, and STATE the file of its state.
PATH="$PATH:$HOME/.local/bin" # where uv installs programs, which cron does not look in
set -o pipefail
read -ra target <<< "${TARGET:-target-jsonl}"
state=${STATE:-state.json}
[ -s "$state" ] || echo '{}' > "$state"
status=0
tap-jobo --config ENV --config config.json --state "$state" | "${target[@]}" > "$state.lines" || status=$?
[ ! -s "$state.lines" ] || { tail -n 1 "$state.lines" > "$state.new" && mv "$state.new" "$state"; }
exit "$status"
