"""A simulated Callers API that uses little processor time, knows every id, and fails in a known share of requests.

    python -m tests.load.api [--latency SECONDS] [--faults SEED]

The first line on stdout is its URL. An id that begins with ``HELD`` is never answered. ``GET /stats`` returns what was
requested.

It is not ``tests.support.fault_server``: that one has a thread for each connection, and keeps every request for the
test to read. Under load it would cost more than the server that is measured, and grow with the run. This one answers
from prepared bytes, in one event loop of a separate process, and only counts.
"""

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
from typing import Any, cast

from tests.benchmarks.bench import CAMPAIGN
from tests.load.loop import run

HELD = "4e1d"
SLOW_SECONDS = 0.3
RESET_EARLY, RESET_LATE, UNAVAILABLE, SLOW, FINE = range(5)
BLOCK = (RESET_EARLY, RESET_LATE, UNAVAILABLE, SLOW, *[FINE] * 16)
"""What happens to twenty requests in a row, in an order that the seed decides: 10 % resets, 5 % 503, 5 % slow."""


_VARIABLES = [f"custom_{number:02d}" for number in range(40)]


def campaign(campaign_id: str) -> dict[str, Any]:
    """Return the campaign with an id. It contains the id twice, so that answers can't be confused."""
    return CAMPAIGN | {"id": campaign_id, "name": f"Campaign {campaign_id}", "variables": _VARIABLES}


_MARK = "0" * 24
_BEFORE, _BETWEEN, _AFTER = json.dumps(campaign(_MARK)).encode().split(_MARK.encode())
_FOUND_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
    json.dumps(campaign(_MARK))
)
_FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Api:
    """The state that all connections share: the counts, and the order of the faults."""

    def __init__(self, latency: float, seed: int | None) -> None:
        self.latency = latency
        self.connections: set[Connection] = set()
        self.counts = dict.fromkeys(
            ("requests", "in_flight", "peak_in_flight", "abandoned", "resets", "503", "slow"), 0
        )
        self.failures: dict[bytes, int] = {}
        self._random = random.Random(seed)
        self._has_faults = seed is not None
        self._order: list[int] = []

    def next_fault(self) -> int:
        """Decide what happens to the next request."""
        if not self._has_faults:
            return FINE
        if not self._order:
            self._order = self._random.sample(BLOCK, len(BLOCK))
        return self._order.pop()

    def stats(self) -> dict[str, int]:
        failed = sum(1 for count in self.failures.values() if count)
        return {**self.counts, "connections": len(self.connections), "ids_that_failed_last": failed}


class Connection(asyncio.Protocol):
    """One connection of a client; one request at a time, as HTTP clients do without pipelining."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._received = b""
        self._waits: asyncio.TimerHandle | None = None
        self._is_pending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own class
        self._api.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            self._answer(head.split(b" ", 2)[1])

    def connection_lost(self, error: Exception | None) -> None:
        self._api.connections.discard(self)
        if self._waits is not None:
            self._waits.cancel()
        if self._is_pending:
            self._api.counts["abandoned"] += 1
            self._done()

    def _answer(self, target: bytes) -> None:
        counts, campaign_id = self._api.counts, target[-24:]
        if target == b"/stats":
            self._write_json(self._api.stats())
            return
        counts["requests"] += 1
        counts["in_flight"] += 1
        counts["peak_in_flight"] = max(counts["peak_in_flight"], counts["in_flight"])
        self._is_pending = True
        if campaign_id.startswith(HELD.encode()):
            return
        fate = self._api.next_fault()
        seconds = self._api.latency + (SLOW_SECONDS if fate == SLOW else 0)
        if seconds:
            self._waits = asyncio.get_running_loop().call_later(seconds, self._finish, campaign_id, fate)
        else:
            self._finish(campaign_id, fate)

    def _finish(self, campaign_id: bytes, fate: int) -> None:
        counts, failures = self._api.counts, self._api.failures
        self._waits = None
        self._done()
        found = b"".join((_FOUND_HEAD, _BEFORE, campaign_id, _BETWEEN, campaign_id, _AFTER))
        if fate in (RESET_EARLY, RESET_LATE, UNAVAILABLE):
            failures[campaign_id] = failures.get(campaign_id, 0) + 1
        elif campaign_id in failures:
            del failures[campaign_id]
        if fate in (FINE, SLOW):
            counts["slow"] += fate == SLOW
            self._transport.write(found)
        elif fate == UNAVAILABLE:
            counts["503"] += 1
            self._transport.write(_FAILED)
        else:
            counts["resets"] += 1
            if fate == RESET_LATE:
                self._transport.write(found[:-200])
            reset(self._transport)

    def _done(self) -> None:
        self._is_pending = False
        self._api.counts["in_flight"] -= 1

    def _write_json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        self._transport.close()


def reset(transport: asyncio.Transport) -> None:
    """Close the connection with an RST."""
    opened = transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _serve(latency: float, seed: int | None) -> None:
    api = Api(latency, seed)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(api), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--faults", type=int, default=None)
    options = parser.parse_args()
    run(_serve(options.latency, options.faults))
