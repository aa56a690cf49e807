"""Controls of the sandbox over HTTP, for a person with curl. They need no key.

- `GET /_sandbox/ledger`: totals, and the latest twenty requests.
- `POST /_sandbox/faults`: plan a fault: the attributes of `Fault` (but `hold`), with `on`,
  `endpoint` and `company_id` beside them: `{"status": 503, "headers": {"Retry-After": "2"}}`.
- `POST /_sandbox/touch`: update a company, or let one be discovered if no `id` is given:
  `{"id": "…", "changes": {"name": "New name"}}`.
- `POST /_sandbox/settings`: set switches: `{"price": 60, "latency": 0.5}`. `rate_limits` is a list
  like `[[120, 60]]` or null. `{"expire_cursors": true}` rejects all cursors issued so far.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from aiohttp import web

from jobo_sandbox.companies import Json
from jobo_sandbox.core import Core
from jobo_sandbox.faults import Fault
from jobo_sandbox.switches import Switches

_LATEST = 20
_SETTABLE = {field.name for field in fields(Switches)} - {"clock", "before_page"}
_FAULT = {field.name for field in fields(Fault)} - {"hold"}
_SELECTORS = {"on", "endpoint", "company_id"}


@dataclass(frozen=True)
class _Control:
    core: Core

    async def ledger(self, _: web.Request) -> web.Response:
        latest = [asdict(e) | {"time": e.time.isoformat()} for e in self.core.ledger[-_LATEST:]]
        return _told(self.core, latest=latest)

    async def faults(self, request: web.Request) -> web.Response:
        wish = await _wish(request, _FAULT | _SELECTORS)
        selectors = {name: wish.pop(name) for name in _SELECTORS & wish.keys()}
        self.core.faults.add(Fault(**wish), **selectors)
        return _told(self.core)

    async def touch(self, request: web.Request) -> web.Response:
        wish = await _wish(request, {"id", "changes"})
        world, key, changes = self.core.world, wish.get("id"), wish.get("changes", {})
        if key is None:
            key = world.add(**changes)
        elif world.company(key) is None:
            raise web.HTTPNotFound(text="There is no such company.")
        else:
            world.touch(key, **changes)
        return _told(self.core, row=world.row(key))

    async def settings(self, request: web.Request) -> web.Response:
        wish = await _wish(request, _SETTABLE | {"expire_cursors"})
        if wish.pop("expire_cursors", False):
            self.core.expire_cursors()
        for name, value in wish.items():
            setattr(self.core, name, value)
        return _told(self.core)


def add_control(app: web.Application, core: Core) -> None:
    """Add the controls to an application."""
    control = _Control(core)
    app.router.add_get("/_sandbox/ledger", control.ledger)
    app.router.add_post("/_sandbox/faults", control.faults)
    app.router.add_post("/_sandbox/touch", control.touch)
    app.router.add_post("/_sandbox/settings", control.settings)


async def _wish(request: web.Request, allowed: set[str]) -> Json:
    try:
        wish = await request.json()
    except ValueError:
        wish = None
    if not isinstance(wish, dict):
        raise web.HTTPBadRequest(text="The body must be a JSON object.")
    unknown = wish.keys() - allowed
    if unknown:
        raise web.HTTPBadRequest(
            text=f"Not known: {', '.join(sorted(unknown))}. There are: "
            f"{', '.join(sorted(allowed))}."
        )
    return wish


def _told(core: Core, **more: Any) -> web.Response:
    """How the sandbox stands after a request to its controls."""
    return web.json_response(
        {
            "now": core.now().isoformat(),
            "companies": len(core.world),
            "requests": len(core.ledger),
            "rows_billed": core.rows_billed,
            "credits_billed": core.credits_billed,
            "balance": core.balance,
            "settings": {name: getattr(core, name) for name in sorted(_SETTABLE)},
        }
        | more
    )
