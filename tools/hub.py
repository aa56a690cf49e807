"""Writes the definition for Meltano Hub, made from plugin.yaml: `uv run tools/hub.py > jobo.yml`.

The Hub's schema knows no `variants`, and `meltano add --from-ref` takes `select` from nowhere else.
RELEASING.md says where the file goes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LISTING = {
    "domain_url": "https://jobo.world",
    "keywords": ["api", "career_sites", "jobs", "meltano_sdk"],
    "log_parser": "singer-sdk",
    "logo_url": "/assets/logos/extractors/jobo.png",
    "maintenance_status": "active",
    "quality": "silver",  # what the Hub gives a new plugin that is built with the SDK
    "repo": "https://github.com/EXAMPLE-OWNER/tap-jobo",
}
"""What only the Hub shows."""


def definition() -> dict[str, Any]:
    """Return the definition, sorted as the Hub's linter wants it."""
    plugin = yaml.safe_load((ROOT / "plugin.yaml").read_text("utf-8"))
    (variant,) = plugin.pop("variants")
    variant["variant"] = variant.pop("name")
    variant["capabilities"].sort()
    variant["settings"].sort(key=lambda setting: setting["name"])
    return {**plugin, **variant, **LISTING}


if __name__ == "__main__":
    yaml.safe_dump(definition(), sys.stdout, allow_unicode=True, sort_keys=True, width=100)
