"""What ends a bare SDK server, or answers in Python's words, does neither here: over real stdio, in one process."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.support.constants import SAMPLE_ID
from tests.support.stdio_process import HeldApi, Pipe


@pytest.fixture(scope="module")
def api() -> Iterator[HeldApi]:
    with HeldApi() as api:
        yield api


@pytest.fixture(scope="module")
def server(api: HeldApi) -> Iterator[Pipe]:
    with Pipe(environment=api.environment) as pipe:
        pipe.handshake()
        yield pipe


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (rb'"\ud800"', "\ufffd"),
        (b"1e400", "1e400"),
        (b"-1e400", "-1e400"),
        (b"9" * 5000, "9" * 5000),
        (b"[" * 98 + b"]" * 98, None),
    ],
    ids=["a lone surrogate", "1e400", "-1e400", "5,000 digits", "100 levels"],
)
def test_odd_json_reaches_the_model(api: HeldApi, server: Pipe, value: bytes, raw: str | None) -> None:
    api.body = b'{"id": "%s", "odd": %s}' % (SAMPLE_ID.encode(), value)
    result = server.call()
    assert result["isError"] is False
    given = result["structuredContent"]["raw"]["odd"]
    assert given == (json.loads(value) if raw is None else raw)
    assert json.loads(result["content"][1]["text"])["odd"] == given
    assert "result" in server.ask("ping")


@pytest.mark.parametrize(
    "body",
    [b'{"a": NaN}', b'{"a": ' * 300 + b"1" + b"}" * 300, b"[" * 200_000, b"Infinity", b""],
    ids=["NaN", "300 levels", "200,000 brackets", "Infinity", "nothing"],
)
def test_what_is_no_campaign_is_an_answer_in_our_words(api: HeldApi, server: Pipe, body: bytes) -> None:
    api.body = body
    result = server.call()
    assert result["isError"]
    assert result["_meta"]["callers-mcp/error"]["kind"] == "unexpected_response"
    assert "result" in server.ask("ping")


def test_a_bug_of_ours_is_an_answer_with_a_reference_and_no_python(api: HeldApi) -> None:
    code = """
from callers_mcp.server.tools import get_campaign
def broken(*a, **k):
    raise RuntimeError("inner words")
get_campaign.summarize = broken
import sys
sys.argv = ["callers-mcp"]
from callers_mcp.cli import main
main()
"""
    api.body = b"{}"
    with Pipe(environment=api.environment, code=code) as pipe:
        pipe.handshake()
        result = pipe.call()
        assert "result" in pipe.ask("ping")
        pipe.stdin.close()
        _, log = pipe.end()
    text = result["content"][0]["text"]
    assert result["isError"]
    assert result["_meta"]["callers-mcp/error"]["kind"] == "internal"
    assert "inner words" not in text
    reference = re.search(r"reference (\w+)", text)
    assert reference
    assert f"internal error {reference[1]} " in log
    assert "RuntimeError: inner words" in log
