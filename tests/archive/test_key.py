"""What shares an archive, and what does not."""

from __future__ import annotations

import re

import msgspec
import pytest

from tap_jobo.archive.key import ArchiveKey, archive_key
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import MANAGED_JOBS

URL = "https://connect.jobo.world/api"


def key(api_key: str = "jbe_live_a", api_url: str = URL) -> ArchiveKey:
    return archive_key(CAREER_SITES, api_key=api_key, api_url=api_url)


@pytest.mark.parametrize(
    "url", [f"{URL}/", "https://CONNECT.jobo.world/api", "https://connect.jobo.world.:443/api"]
)
def test_a_rotated_key_and_another_spelling_share_an_archive(url: str) -> None:
    assert key("jbe_live_b", url) == key()


def test_another_kind_of_key_address_or_stream_has_its_own_archive() -> None:
    keys = [
        key(),
        key("jbe_test_a"),
        key("another"),
        key(api_url="http://connect.jobo.world/api"),
        key(api_url="https://connect.jobo.world:8443/api"),
        key(api_url="https://connect.jobo.world"),
        *(archive_key(MANAGED_JOBS, api_key=f"jbe_live_{one}", api_url=URL) for one in "ab"),
    ]
    assert len({each.name for each in keys}) == len(keys)


def test_a_key_says_what_it_stands_for() -> None:
    for api_key, kind in (("jbe_live_a", "live"), ("jbe_test_a", "test"), ("another", "other")):
        name = key(api_key).name
        assert re.fullmatch(rf"connect\.jobo\.world-{kind}-[0-9a-f]{{8}}/career_sites", name)
    assert (
        "jbe_live_a"
        not in msgspec.json.encode(
            archive_key(MANAGED_JOBS, api_key="jbe_live_a", api_url=URL)
        ).decode()
    )


def test_streams_of_an_address_and_a_kind_of_key_share_a_limit() -> None:
    assert key().shares_limit_with(URL, "live")
    assert not key().shares_limit_with(URL, "test")
    assert not key().shares_limit_with("https://example.com", "live")
