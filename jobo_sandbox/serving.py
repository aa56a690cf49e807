"""`--serve`: just the API, for a person with curl or a tap of their own."""

from threading import Event

from jobo_sandbox.command import environment
from jobo_sandbox.folder import Folder
from jobo_sandbox.sandbox import Sandbox

_GUIDE = """\
The Jobo sandbox serves at {url} until Ctrl-C. Its key is
  {key}

For a tap in another shell:
{exports}

A page of two rows:
  curl -s {url}/api/career-sites/feed -H 'X-Api-Key: {key}' \\
    -H 'Content-Type: application/json' -d '{{"batch_size": 2}}'

What was asked and billed so far:
  curl -s {url}/_sandbox/ledger
Let the next request fail (or: "drop": true, "hang": true, "truncate": 0.5, "delay": 5, ...):
  curl -s {url}/_sandbox/faults -d '{{"status": 503, "headers": {{"Retry-After": "2"}}}}'
Update a company (without "id": let one be discovered):
  curl -s {url}/_sandbox/touch -d '{{"id": "{id}", "changes": {{"name": "New name"}}}}'
Change a setting (the answer lists all):
  curl -s {url}/_sandbox/settings -d '{{"price": 60, "latency": 0.5}}'
"""


def serve(folder: Folder, sandbox: Sandbox) -> None:
    """Say how to use the sandbox, and serve until the process is interrupted."""
    settings = environment(folder, sandbox.url, sandbox.api_key)
    exports = "\n".join(f"  export {name}='{value}'" for name, value in settings.items())
    example = next(iter(sandbox.world.rows()), "...")
    guide = _GUIDE.format(url=sandbox.url, key=sandbox.api_key, exports=exports, id=example)
    print(guide, flush=True)  # noqa: T201 - what it is for
    Event().wait()
