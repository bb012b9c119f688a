"""What stops a bare SDK server, or is answered in Python's words, does neither here: real stdio, one process."""

import json
from collections.abc import Iterator

import pytest

from tests.support import fault_server as fault
from tests.support.constants import SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import KNOWN, environment_of
from tests.support.stdio_process import Pipe


@pytest.fixture(scope="module")
def api() -> Iterator[FaultServer]:
    with FaultServer(KNOWN) as api:
        yield api


@pytest.fixture(scope="module")
def server(api: FaultServer) -> Iterator[Pipe]:
    with Pipe(environment=environment_of(api)) as pipe:
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
def test_odd_json_reaches_the_model(api: FaultServer, server: Pipe, value: bytes, raw: str | None) -> None:
    api.script(fault.answer(b'{"id": "%s", "odd": %s}' % (SAMPLE_ID.encode(), value)))
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
def test_a_body_that_is_not_a_campaign_is_an_unexpected_response(api: FaultServer, server: Pipe, body: bytes) -> None:
    api.script(fault.answer(body))
    result = server.call()
    assert result["isError"]
    assert result["_meta"]["callers-mcp/error"]["kind"] == "unexpected_response"
    assert "result" in server.ask("ping")
