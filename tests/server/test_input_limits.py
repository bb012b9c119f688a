"""Input of any length: the output stays short, and the work stays linear."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.api.errors import NotConfigured
from callers_mcp.api.json_reader import read_object
from callers_mcp.api.key import KeySource
from callers_mcp.campaign.urls import redact_urls
from callers_mcp.settings import Settings
from tests.support.campaigns import campaign, summary_of, text_of
from tests.support.lookups import connect, told


def test_thousands_of_webhooks_are_a_few_sentences() -> None:
    raw = campaign(webhooks=["x"] * 40_000)
    attention = summary_of(raw)["attention"]
    assert len(attention) == 6
    assert attention[-1] == "39995 more of its webhooks are not https."
    assert len(text_of(raw)) < 5_000


async def test_thousands_of_wrong_arguments_are_refused_in_a_few_sentences() -> None:
    async with connect("http://127.0.0.1:1") as client:  # the call is refused before any request
        text = told(await client.call_tool("get_campaign", {f"argument_{number}": 1 for number in range(5_000)}))
    assert "4998 more arguments are wrong" in text
    assert len(text) < 1_000


def test_names_that_become_alike_take_linear_time() -> None:
    members = ",".join(f'"\\ud8{number >> 8:02x}\\ud8{number & 255:02x}":1' for number in range(60_000))
    document = read_object(f"{{{members}}}".encode(), key="k")
    assert len(document.content) == 60_000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_key_file_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "key"
    os.mkfifo(pipe)
    with pytest.raises(NotConfigured, match="not a regular file"):
        KeySource(Settings(api_key_file=pipe)).current()


def test_of_a_huge_key_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with file.open("wb") as opened:
        opened.truncate(4 << 30)  # sparse
    with pytest.raises(NotConfigured, match="it has more than 65536 bytes"):
        KeySource(Settings(api_key_file=file)).current()


def test_a_key_file_that_keeps_its_size_and_time_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    keys = KeySource(Settings(api_key_file=file))
    for key in ("key-1", "key-2", "key-3"):
        file.write_text(key)
        os.utime(file, (1, 1))
        assert keys.current() == key


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"], ids=["plain", "Notepad", "PowerShell"])
def test_a_key_file_may_be_named_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "key").write_text("key-1\r\n", encoding)
    assert KeySource(Settings(api_key_file=Path("~/key"))).current() == "key-1"


@pytest.mark.parametrize("value", [12345678, [12345678], {"a": 12345678}], ids=json.dumps)
def test_a_key_of_digits_is_masked_as_a_number_too(value: Any) -> None:
    content = read_object(json.dumps({"odd": value}).encode(), key="12345678").content
    assert "12345678" not in json.dumps(content)


@pytest.mark.parametrize("value", [1234567890.0, 1.23456789e9, -1234567890, 12345678901, "1234567890"], ids=str)
def test_a_key_of_digits_is_masked_however_a_number_is_written(value: Any) -> None:
    content = read_object(json.dumps({"odd": value}).encode(), key="1234567890").content
    assert content == {"odd": "[API key]"}


@pytest.mark.parametrize("between", ["\u200b", "\u200c", "\u200d", "\ufe0f", "\u034f", "\u3164"], ids=ascii)
def test_a_key_with_unseen_characters_in_it_is_masked(between: str) -> None:
    content = read_object(json.dumps({"name": between.join("Secret-key")}).encode(), key="secret-KEY").content
    assert content == {"name": "[API key]"}


def test_many_urls_of_one_host_as_names_take_linear_time() -> None:
    raw: dict[str, Any] = {"webhooks": {f"https://a.example/{number}": 0 for number in range(20_000)}}
    redacted, _ = redact_urls(raw)
    assert len(json.dumps(redacted)) < 2 * len(json.dumps(raw))


@pytest.mark.parametrize("content", ["${CALLERS_API_KEY}", "two\nlines"], ids=["a placeholder", "two lines"])
def test_a_key_file_without_a_usable_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(NotConfigured, match="does not contain a usable key"):
        KeySource(Settings(api_key_file=tmp_path / "key")).current()


def test_a_key_file_of_an_unknown_user_is_unreadable() -> None:
    with pytest.raises(NotConfigured, match="can't be read"):
        KeySource(Settings(api_key_file=Path("~no-such-user/key"))).current()
