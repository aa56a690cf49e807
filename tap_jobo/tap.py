"""The tap, as the SDK wants it: settings in, streams out."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_jobo import settings
from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.output import StdoutWriter
from tap_jobo.redaction import redact_logs
from tap_jobo.scan import StreamState
from tap_jobo.stopping import Stopping
from tap_jobo.streams import CareerSitesStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    import click
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.streams import Stream


class TapJobo(Tap):
    """Singer tap for the Jobo API: a directory of career sites, kept current."""

    name = "tap-jobo"
    config_jsonschema: ClassVar[dict[str, Any]] = settings.SETTINGS.to_dict()
    message_writer_class = StdoutWriter
    # Neither BATCH nor ACTIVATE_VERSION: both would let the state run ahead of the rows.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.DISCOVER,
        TapCapabilities.STATE,
        PluginCapabilities.ABOUT,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Check the settings before the SDK does, whose messages may hold the key.

        Raises:
            ConfigError: A setting is not what it should be.
            StateError: The state is not one.
        """
        self._stopping = Stopping()
        config = dict(config or {})
        if parse_env_config:
            self.append_builtin_config(self.config_jsonschema)
            environ = settings.load_dotenv_environment()
            config |= settings.read_environment(self.config_jsonschema, environ)
        if validate_config:
            config = settings.check(config)
            redact_logs(config["api_key"])
            self._warn_of_unknown(config)
        try:
            super().__init__(config=config, validate_config=validate_config, **kwargs)
        except ConfigValidationError as error:  # of the SDK's own settings
            raise ConfigError("; ".join(error.errors)) from error
        self._stopping.install()

    def discover_streams(self) -> Sequence[Stream]:
        """Return the streams."""
        return [CareerSitesStream(self, stopping=self._stopping)]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state over, if it is one.

        Raises:
            StateError: It is not.
        """
        bookmarks = state.get("bookmarks", {})
        if not isinstance(bookmarks, dict) or not all(
            isinstance(bookmark, dict) for bookmark in bookmarks.values()
        ):
            raise StateError(
                "The state is not a Singer state: 'bookmarks' must be an object with an object "
                "for each stream. Give the tap the state that its last run wrote, or none."
            )
        super().load_state(state)
        StreamState(self.state.get("bookmarks", {}).get(CareerSitesStream.name, {}))

    @classmethod
    def _warn_of_unknown(cls, config: dict[str, Any]) -> None:
        cls.append_builtin_config(cls.config_jsonschema)
        for name in sorted(config.keys() - cls.config_jsonschema["properties"].keys()):
            if name not in settings.WITHDRAWN:
                cls.logger.warning("Setting %s is unknown and has no effect.", ascii(name))

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files of `--config`.

        Raises:
            ConfigError: One of them is missing or not a JSON object.
        """
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"--config {' '.join(value)}: each must be the path of a file with a JSON object, "
                f"or ENV ({type(error).__name__})."
            ) from error

    @classmethod
    def invoke(
        cls,
        *,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the tap, once its files are seen to be what they should be."""
        super().invoke(
            state=_checked(state, "--state", StateError),
            catalog=_checked(catalog, "--catalog", ConfigError),
            **kwargs,
        )


def _checked(file: IO[str] | None, option: str, error_class: type[TapJoboError]) -> IO[str] | None:
    """Return a file that holds a JSON object, to be read from its start.

    Raises:
        TapJoboError: It holds something else.
    """
    if file is None:
        return None
    try:
        text = file.read()
        is_object = isinstance(json.loads(text), dict)
    except (OSError, ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise error_class(f"{option} {file.name}: the file must hold a JSON object.")
    return io.StringIO(text)
