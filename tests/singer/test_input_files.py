"""The files of `--config`, `--state` and `--catalog`: each fault has its own message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_jobo.errors import ConfigError
from tap_jobo.singer.input_files import read_object

if TYPE_CHECKING:
    from pathlib import Path


def _error(path: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read_object(path, "--config", ConfigError)
    return str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must hold a JSON object, and is empty."),
        (b" \n", "must hold a JSON object, and is empty."),
        (b'{"a": 1,}', "is not valid JSON (line 1, column"),
        (b'{\n "key": "jbe_test_secret\n}', "is not valid JSON (line 2, column"),
        (b"api_key: jbe_test_secret", "(line 1, column 1: Expecting value)."),
        (b"{} {}", "(line 1, column 4: Extra data)."),
        (b'{"a": {"b": 1, "b": 2}}', "has the name 'b' twice in one object."),
        (b'{"a": NaN}', "is not valid JSON, which has no NaN."),
        (b"[" * 100_000, "is too deeply nested, or has too long a number."),
        (b"1" * 5_000, "is too deeply nested, or has too long a number."),
        ("{}".encode("utf-16"), "must hold a JSON object, and is not text in UTF-8."),
        (b"[]", "must hold a JSON object, not a list."),
        (b'"jbe_test_secret"', "must hold a JSON object, not text."),
        (b"null", "must hold a JSON object, not null."),
        (b"5", "must hold a JSON object, not a number."),
    ],
)
def test_each_fault_has_its_message(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(content)
    line = _error(str(path))
    assert line.startswith(f"Option --config: {path} ")
    assert words in line
    assert "secret" not in line


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    assert _error(f"{tmp_path}/x.json") == f"Option --config: {tmp_path}/x.json does not exist."
    assert _error(str(tmp_path)).startswith(f"Option --config: {tmp_path} cannot be read (")
    for given in ("", '{"api_key": "x"}', "jbe_test_secret"):
        assert _error(given) == (
            "Option --config must be the path of a file that holds a JSON object."
        )


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_text('{"a": 1.5}', "utf-8-sig")
    assert read_object(str(path), "--config", ConfigError) == {"a": 1.5}
