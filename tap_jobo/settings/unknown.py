"""Detects unknown settings: a mistyped `max_credits` must not let a run spend without limit."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.redaction import without_key
from tap_jobo.settings.check import has_value
from tap_jobo.settings.environment import ENV_PREFIX, variable_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_MISTYPED: Final = 0.8
"""Similarity from which a variable counts as a mistyped setting."""
_NO_SETTINGS: Final = frozenset({"LOGLEVEL"})
"""Variables that the SDK reads itself."""
_MELTANO: Final = "MELTANO_EXTRACTOR_NAME"
"""Is set where Meltano started the tap."""
_READ_BY_MELTANO: Final = "MELTANO_EXTRACT_"


def unknown_settings(config: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Return a line for each setting of a configuration that does not exist.

    Args:
        config: What the configuration files hold.
        known: The names of all settings, including those of the SDK.
    """
    return [
        f"Setting '{_shown(name)}' does not exist: "
        + (f"did you mean {like}?" if (like := _closest(name, known)) else "remove it.")
        for name in sorted(config)
        if name not in known and has_value(config[name])
    ]


def mistyped_variables(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a line for each environment variable that is a mistyped setting.

    Args:
        environ: The environment.
        known: The names of all settings, including those of the SDK.
    """
    return [
        f"Variable {_shown(variable)} is not a setting: did you mean {variable_of(like)}?"
        for variable, like in _unknown_variables(environ, known)
        if like
    ]


def variables_unread_by_meltano(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Meltano, if it started the tap, did not take for settings.

    It passes on each setting under both prefixes, even a member of an object such as
    `TAP_JOBO_STREAM_MAPS_JOBS`, which looks like a mistyped setting.

    Args:
        environ: The environment.
    """
    if _MELTANO not in environ:
        return {}
    return {
        variable: value
        for variable, value in environ.items()
        if _READ_BY_MELTANO + variable.removeprefix(ENV_PREFIX) not in environ
    }


def unknown_variables(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return the variables that are neither a setting nor a mistyped one.

    This excludes Meltano's variables with two underscores, such as `TAP_JOBO__SELECT`.
    """
    return [
        _shown(variable)
        for variable, like in _unknown_variables(environ, known)
        if not like and "__" not in variable
    ]


def _unknown_variables(
    environ: Mapping[str, str], known: Collection[str]
) -> Iterator[tuple[str, str | None]]:
    """Yield each variable that is not a setting, with the setting that it may be meant for."""
    for variable in sorted(environ):
        name = variable.removeprefix(ENV_PREFIX)
        if name in (variable, *_NO_SETTINGS, *map(str.upper, known)):
            continue
        inherited = _is_inherited(name.lower(), known)
        yield variable, None if inherited else _closest(name, known, _MISTYPED)


def _is_inherited(name: str, known: Collection[str]) -> bool:
    """Return whether a variable may belong to a Meltano plugin that inherits from this tap.

    The variables of `tap-jobo-frequent` have names such as `TAP_JOBO_FREQUENT_API_KEY`.
    """
    return any(
        name.endswith(f"_{setting}") and name.removesuffix(setting).strip("_") for setting in known
    )


def _closest(name: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    return next(iter(get_close_matches(name.lower(), known, 1, cutoff)), None)


def _shown(name: str) -> str:
    return without_key(ascii(name)[1:-1])
