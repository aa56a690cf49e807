"""The SDK's mapper, for the streams that the catalog selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import PluginMapper, RemoveRecordTransform

if TYPE_CHECKING:
    from collections.abc import Sequence


class SelectedStreamsMapper(PluginMapper):
    """Applies stream maps only to streams that the catalog selects.

    The SDK also applies them to the others, whose schema has no field then: it would refuse every
    map of such a stream because the primary key is missing.
    """

    def register_raw_stream_schema(
        self, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        """Register a stream with its map, or one without selected fields as removed."""
        if schema.get("properties"):
            super().register_raw_stream_schema(stream_name, schema, key_properties)
        else:
            self.stream_maps[stream_name] = [
                RemoveRecordTransform(
                    stream_name, schema, None, flattening_options=self.flattening_options
                )
            ]
