"""The feeds of the API, each in a module with the name of its stream."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from jobo_sandbox.feed import Feed
from jobo_sandbox.ledger import OTHERS


class _Feeds(dict[str, Feed]):
    def __missing__(self, name: str) -> Feed:
        raise LookupError(f"The sandbox does not serve {name}: write jobo_sandbox/feeds/{name}.py.")


FEEDS: Final = _Feeds(
    (module.name, import_module(f"{__name__}.{module.name}").FEED)
    for module in iter_modules(__path__)
)


def known(endpoint: str) -> str:
    """Return the name of an endpoint.

    Raises:
        ValueError: If there is none with this name.
    """
    if endpoint not in {*FEEDS, *OTHERS}:
        raise ValueError(f"The sandbox has no endpoint {endpoint!r}.")
    return endpoint
