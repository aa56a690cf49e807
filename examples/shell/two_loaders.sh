#!/usr/bin/env bash
# Reads Jobo once for two loaders. The state is saved only after both have stored everything.
set -e
[ -s state.json ] || echo '{}' > state.json
status=0
tap-jobo --config config.json --state state.json > messages.jsonl || status=$?
target-jsonl < messages.jsonl > states.jsonl
target-postgres --config postgres.json < messages.jsonl > /dev/null
[ ! -s states.jsonl ] || { tail -n 1 states.jsonl > state.new && mv state.new state.json; }
exit "$status"
