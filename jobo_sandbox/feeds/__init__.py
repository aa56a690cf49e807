"""The feeds of the API, each in a module with the name of its stream."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from jobo_sandbox.feed import Feed
from jobo_sandbox.ledger import OTHERS

FEEDS: Final[dict[str, Feed]] = {
    module.name: import_module(f"{__name__}.{module.name}").FEED
    for module in iter_modules(__path__)
}


def known(endpoint: str) -> str:
    """Return the name of an endpoint.

    Raises:
        ValueError: If there is none with this name.
    """
    if endpoint not in {*FEEDS, *OTHERS}:
        raise ValueError(f"The sandbox has no endpoint {endpoint!r}.")
    return endpoint
