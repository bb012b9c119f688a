"""A client that uses little processor time: raw connections that stay open, and prepared requests."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from tests.load.api import HELD
from tests.load.processes import Target
from tests.support.constants import PATIENCE
from tests.support.stdio_process import ENVELOPE

LATEST = "2026-07-28"
HANDSHAKE = "2025-11-25"
_GREETING = ""
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_MARK = "0" * 24

Make = Callable[[str], bytes]
"""Makes a request of a campaign's id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes


class Protocol(asyncio.Protocol):
    """One connection, which makes the calls of ``calls`` until no id is left."""

    def __init__(self, calls: "Calls") -> None:
        self._calls = calls
        self._received = b""
        self._id: str | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own class

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(received, 0, end)
        if length is None:
            self._transport.abort()
            return
        end += 4
        if len(received) - end < int(length[1]):
            return
        campaign_id, self._received, self._id = self._id, b"", None
        assert campaign_id is not None
        if campaign_id == _GREETING:
            self._calls.greeted()
            return
        self._calls.take(campaign_id, Answer(int(received[9:12]), received[end:]), time.perf_counter() - self._sent)
        self.call_next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._id is not None:
            self._calls.unanswered.append(self._id)
        self._calls.left(self)

    def greet(self, host: str) -> None:
        self._id = _GREETING
        self._transport.write(b"GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())

    def abort(self) -> None:
        self._transport.abort()

    def call_next(self) -> None:
        campaign_id = next(self._calls.ids, None)
        if campaign_id is None:
            self._transport.close()
            return
        self._id, self._sent = campaign_id, time.perf_counter()
        self._transport.write(self._calls.make(campaign_id))


@dataclass(slots=True)
class Calls:
    """Calls over several connections, one at a time on each, until no id is left.

    Attributes:
        make: Makes each request.
        ids: What to request.
        check: Called with each requested id and its answer.
        seconds: How long each call took.
        unanswered: Ids whose connection was closed before the answer.
    """

    make: Make
    ids: Iterator[str]
    check: Callable[[str, Answer], None]
    seconds: list[float] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    _open: set[Protocol] = field(default_factory=set)
    _greeted: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, campaign_id: str, answer: Answer, seconds: float) -> None:
        self.seconds.append(seconds)
        self.check(campaign_id, answer)

    def greeted(self) -> None:
        self._greeted += 1
        self._changed.set()

    def left(self, connection: Protocol) -> None:
        self._open.discard(connection)
        self._changed.set()

    async def run(self, url: str, connections: int) -> None:
        """Connect, then call until no id is left and each connection has had its last answer."""
        loop, (host, port) = asyncio.get_running_loop(), address(url)
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Protocol(self), host, port)
            self._open.add(connection)
            connection.greet(urlsplit(url).netloc)
        # Under uvloop a busy server accepts one connection per loop iteration: start when it has accepted all.
        while self._greeted + len(self.unanswered) < connections:
            self._changed.clear()
            await self._changed.wait()
        for connection in [*self._open]:
            connection.call_next()
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in [*self._open]:
            connection.abort()


def address(url: str) -> tuple[str, int]:
    """Return host and port of a URL that names both."""
    at = urlsplit(url)
    assert at.hostname
    assert at.port
    return at.hostname, at.port


def random_ids(seed: int) -> Iterator[str]:
    """Yield different campaign ids without end."""
    generator = random.Random(seed)
    while True:
        campaign_id = f"{generator.getrandbits(96):024x}"
        if not campaign_id.startswith(HELD):
            yield campaign_id


def envelope(
    campaign_id: str, version: str, tool: str = "get_campaign", argument: str = "campaign_id"
) -> dict[str, Any]:
    """Return the JSON-RPC message that calls a tool with an id."""
    params: dict[str, Any] = {"name": tool, "arguments": {argument: campaign_id}}
    if version == LATEST:
        params["_meta"] = ENVELOPE
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def headers(target: Target, version: str, tool: str = "get_campaign") -> list[tuple[str, str]]:
    """Return the headers that a client of this version sends, without the length."""
    given = [
        ("Host", urlsplit(target.url).netloc),
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", version),
    ]
    if version == LATEST:
        given += [("Mcp-Method", "tools/call"), ("Mcp-Name", tool)]
    if target.token:
        given.append(("Authorization", f"Bearer {target.token}"))
    return given


def requests(target: Target, version: str, tool: str = "get_campaign", argument: str = "campaign_id") -> Make:
    """Return a function that makes the request for an id, as a client of this version sends it."""
    lines = [f"POST {urlsplit(target.url).path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers(target, version, tool)]
    body = json.dumps(envelope(_MARK, version, tool, argument))
    before, after = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode().split(_MARK.encode())
    return lambda campaign_id: before + campaign_id.encode() + after


async def call(target: Target, campaign_id: str, version: str = LATEST) -> Answer:
    """Look up one campaign over a new connection."""
    answers: list[Answer] = []
    calls = Calls(requests(target, version), iter([campaign_id]), lambda _, answer: answers.append(answer))
    async with asyncio.timeout(PATIENCE):
        await calls.run(target.url, 1)
    if not answers:
        raise ConnectionError("The server closed the connection without an answer.")
    return answers[0]
