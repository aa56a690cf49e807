"""Settings: from environment variables (`--config ENV`), and checked before any request."""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from dotenv import find_dotenv, load_dotenv
from dotenv.parser import parse_stream

from tap_jobo.errors import ConfigError
from tap_jobo.messages import message
from tap_jobo.redaction import without_key
from tap_jobo.settings.common import ARCHIVE_DIR
from tap_jobo.settings.setting import Setting, fits

_PREFIX: Final = "TAP_JOBO_"
_TRUE: Final = ("true", "1", "yes", "on")
_BOOLEANS: Final = dict.fromkeys(_TRUE, True) | dict.fromkeys(("false", "0", "no", "off"), False)
_SIMILAR: Final = 0.75  # similarity from which an unknown name counts as a mistyped setting


def read_environment(schema: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from `TAP_JOBO_...` variables, also of a `.env` file here or in a parent.

    The SDK would read `ja` as false, and show a value that cannot be parsed. Here, it stays a
    string, which `validated` rejects.
    """
    try:
        path = find_dotenv(usecwd=True)
    except FileNotFoundError:
        fact = "The working folder was deleted. Nothing was billed. Run the tap in another folder."
        raise ConfigError(message("invalid-file", fact)) from None
    try:
        with open(path or os.devnull, encoding="utf-8") as file:  # noqa: PTH123
            bad = [binding for binding in parse_stream(file) if binding.error]
        load_dotenv(path)
    except (OSError, ValueError):  # as of bytes that are not UTF-8, or NUL
        fact = f"The file {path} must be readable text in UTF-8. Nothing was billed."
        raise ConfigError(message("invalid-file", fact)) from None
    if bad:  # dotenv would skip the line, and perhaps a limit
        fact = f"Line {bad[0].original.line} of {path} must be NAME=VALUE. Nothing was billed."
        raise ConfigError(message("invalid-file", fact))
    return {
        name: _parse(environ[variable], definition)
        for name, definition in schema["properties"].items()
        if (variable := _PREFIX + name.upper()) in environ
    }


def read_object(path: str, option: str) -> dict[str, Any]:
    """Return the JSON object in the file of a command-line option. Raises `ConfigError`."""
    try:
        text = Path(path).read_text("utf-8")
        found = json.loads(text)
        # NaN and a lone surrogate would fail later.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        if isinstance(found, dict):
            return found
        why = f"must be a JSON object, not a JSON {type(found).__name__}"
    except OSError as error:
        why = f"can't be read ({error.strerror or error})"
    except (RecursionError, ValueError) as error:
        why = f"is not JSON ({error})"
    path = "" if "{" in path else f" {without_key(path)}"  # settings instead of a path
    fact = f"{option}{path} {why}. Nothing was billed."
    raise ConfigError(message("invalid-file", fact))


def _parse(text: str, definition: Mapping[str, Any]) -> object:
    types = definition["type"]
    if "boolean" in types:
        return _parse_boolean(text)
    if "integer" in types and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if "array" in types and not text.lstrip().startswith("["):
        return [item for part in text.split(",") if (item := part.strip())]
    if "array" in types or "object" in types:
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return text


def _parse_boolean(value: object) -> object:
    return _BOOLEANS.get(str(value).strip().lower(), value)


def validated(
    config: Mapping[str, Any],
    settings: Sequence[Setting],
    schema: Mapping[str, Any],
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return the settings that are not null, checked; a boolean may be one of the usual strings."""
    properties = schema["properties"]
    given = {name: value for name, value in config.items() if value is not None}
    for name in given.keys() & properties.keys():
        if "boolean" in properties[name]["type"]:
            given[name] = _parse_boolean(given[name])
    own = {setting.name: setting for setting in settings}
    ignored, misspelled = _unread(given, properties, environ)
    found = [*_invalid(given, own, properties, ignored)]
    found += [
        f"Setting '{ascii(name)[1:-1]}' does not exist: {_advise(name, properties, environ)}"
        for name in sorted(given.keys() - properties.keys())
    ]
    if "max_credits_per_month" in given and given.get("archive") is False:
        found.append(
            "Setting 'max_credits_per_month' needs the archive, which counts what the month has "
            "cost. Set archive to true, or remove max_credits_per_month."
        )
    lines = [message("invalid-setting", without_key(fact)) for fact in found]
    lines += [message("ignored-variable", fact) for fact in misspelled]
    if ignored:
        reader = "Add --config ENV"
        if "MELTANO_EXTRACTOR_NAME" in environ:
            reader = "Declare them under the plugin's settings in meltano.yml"
        fact = f"Nothing reads {', '.join(_PREFIX + name.upper() for name in ignored)}."
        lines.append(message("ignored-variable", fact, reader=reader))
    if lines:
        raise ConfigError(*lines)
    return given


def _invalid(
    given: Mapping[str, Any],
    own: Mapping[str, Setting],
    properties: Mapping[str, Any],
    ignored: Collection[str],
) -> Iterator[str]:
    for name, schema in properties.items():
        value, setting = given.get(name), own.get(name)
        if setting is None:
            if value is not None and not fits(schema, value):
                yield f"Setting '{name}' is not valid: see the Singer SDK's documentation of it."
        elif value is None:
            if setting.required and name not in ignored:
                yield (
                    f"Setting '{name}' is missing. Set it to {setting.type.expected}. With "
                    f"--config ENV, set {_PREFIX}{name.upper()}."
                )
        elif value in ("", []):  # such as the variable of a CI secret that is not set
            advice = "Set it to" if setting.required else "Remove it, or set it to"
            yield f"Setting '{name}' is empty. {advice} {setting.type.expected}."
        elif not setting.type.allows(value):
            yield f"Setting '{name}' {_describe_wrong(value, setting)}"


def _advise(name: str, properties: Collection[str], environ: Mapping[str, str]) -> str:
    """Return what to do about a setting that does not exist, or not any more."""
    if near := get_close_matches(name.lower(), properties, 1, _SIMILAR):
        return f"did you mean {near[0]}?"
    if plugin := environ.get("MELTANO_EXTRACTOR_NAME"):  # it also passes a definition's defaults
        return (
            "remove it. If it is only in the plugin's definition, update that: `meltano add "
            f"--update --from-ref plugin.yaml {plugin}`, with the plugin.yaml of this version."
        )
    return "remove it."


def _describe_wrong(value: object, setting: Setting) -> str:
    """Return what a setting must be; nothing of a text, which may hold a secret."""
    must = f"must be {setting.type.expected}"
    if isinstance(value, list) and fits(setting.type.schema, value):
        # What the setting must be does not show which item is wrong.
        wrong = next((each for each in value if not setting.type.allows([each])), value)
        return f"{must}, not {wrong!a:.40}."
    return f"{must}."


def _unread(
    given: Mapping[str, Any], properties: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the settings whose `TAP_JOBO_...` variables nothing reads, and lines about misspelled.

    A `TAP_JOBO_MAX_CREDITS` that is mistyped or not read must not let a run spend without limit.
    Meltano exports what it has read under the prefixes of the plugin and its parents, and as
    `MELTANO_EXTRACT_...`, even a member of an object. As it always exports the selection, that
    shows whether it reads `TAP_JOBO_...` for this plugin. A child of the plugin also has variables
    such as `TAP_JOBO_2_API_KEY`.
    """
    ignored: list[str] = []
    misspelled: list[str] = []
    selected = environ.get(f"{_PREFIX}_SELECT")
    if environ.get("MELTANO_EXTRACT__SELECT", selected) != selected:
        return ignored, misspelled
    for variable, text in sorted(environ.items()):
        name = variable.removeprefix(_PREFIX)
        if name == variable or f"MELTANO_EXTRACT_{name}" in environ:
            continue
        setting = name.lower()
        if setting in properties and name.isupper():
            definition = properties[setting]
            is_for_command = setting == ARCHIVE_DIR.name in given  # for `tap-jobo-archive`
            value = given.get(setting, definition.get("default"))
            if _parse(text, definition) != value and not is_for_command:
                ignored.append(setting)
            continue
        is_of_child = any(
            setting.endswith(each) and setting.removesuffix(each).strip("_") for each in properties
        )
        for near in get_close_matches(setting, properties, 1, _SIMILAR):
            if not is_of_child:
                shown, meant = ascii(variable)[1:-1], _PREFIX + near.upper()
                misspelled.append(f"Variable {shown} is not a setting: did you mean {meant}?")
    return ignored, misspelled
