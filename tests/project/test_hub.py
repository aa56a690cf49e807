"""What Meltano Hub needs: a definition of its form."""

from __future__ import annotations

import runpy

from tests.support.repository import REPOSITORY

# The properties that the Hub allows for an extractor, of those that we use, and for a setting.
LISTING = {
    *("capabilities", "commands", "description", "docs", "domain_url", "executable", "keywords"),
    *("label", "log_parser", "logo_url", "maintenance_status", "name", "namespace", "pip_url"),
    *("quality", "repo", "select", "settings", "settings_group_validation"),
    *("supported_python_versions", "variant"),
}
SETTING = {"description", "kind", "label", "name", "options", "sensitive", "value"}


def test_the_definition_has_the_form_of_the_hub() -> None:
    listing = runpy.run_path(str(REPOSITORY / "tools/hub.py"))["definition"]()
    assert listing.keys() == LISTING
    names = [setting["name"] for setting in listing["settings"]]
    assert names == sorted(names)
    for setting in listing["settings"]:
        assert {"description", "kind", "label", "name"} <= setting.keys() <= SETTING
    assert listing["select"] == ["career_sites.*"]  # all else costs money or time
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert listing["docs"] in readme  # `meltano add` prints it
    # Ours, where the Hub would guess wrong.
    kinds = {setting["name"]: setting["kind"] for setting in listing["settings"]}
    values = {setting["name"]: setting.get("value") for setting in listing["settings"]}
    assert kinds["company_ids_file"] == "string"  # no password
    assert kinds["is_agency"] == "string"  # as a boolean, Meltano would read any odd text as false
    assert kinds["jobs_posted_after"] == "string"  # as a date, Meltano would accept "2 days ago"
    assert values["archive_dir"] is None  # the code finds the folder in the project
