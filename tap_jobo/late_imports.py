"""Modules that the SDK imports at startup although only other plugins use them: loaded late."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNUSED: Final = ("backoff", "joblib", "upath")
"""For the SDK's own retries, for targets, and for BATCH messages: a third of startup time."""


class _LateModule(ModuleType):
    """Stands in for a module until one of its functions or classes is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        return call


@contextmanager
def unused_modules_late() -> Iterator[None]:
    """Load the unused modules late where they are imported within this context.

    `tests/cli/test_startup.py` fails if the SDK imports them in another way, or no longer does.
    """
    late = {name: _LateModule(name) for name in UNUSED if name not in sys.modules}
    sys.modules.update(late)
    try:
        yield
    finally:
        for name in late:
            del sys.modules[name]
