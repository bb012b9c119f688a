"""Clients that connect and disappear during a call, in many ways, and leave nothing behind."""

import random
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable

import httpx2

from tests.load.api import HELD
from tests.load.client import HANDSHAKE, LATEST, address, requests
from tests.load.processes import Api, Target
from tests.load.report import Report
from tests.load.settle import answers_well, until
from tests.support.constants import PATIENCE

_RST = struct.pack("ii", 1, 0)
_GAUGE = re.compile(r"^(\w*in_flight)\S* (\S+)$", re.MULTILINE)

POOL = 50
"""Connections to the API that the server may have: more than waiting clients, and too few to hide a leak."""

WAYS = (
    # how; how many of a hundred; whether the API delays the look-up until the client has disconnected
    ("with an RST, while the API works", 15, True),
    ("with a FIN, while the API works", 15, True),
    ("with more requests sent already, while the API works", 10, True),
    ("at once after the request", 15, False),
    ("in the middle of the headers", 15, False),
    ("in the middle of the body", 15, False),
    ("in the middle of the answer", 15, False),
)


class Crowd:
    """Clients that connect together and disappear together."""

    def __init__(self, target: Target, generator: random.Random) -> None:
        self._address = address(target.url)
        self._make = [requests(target, version) for version in (LATEST, HANDSHAKE)]
        self._random = generator
        self._open: list[tuple[socket.socket, str]] = []
        self.held: set[str] = set()
        self.ways: Counter[str] = Counter()

    def come(self, way: str, is_held: bool) -> None:
        """Connect, and send as much of the request as this way needs."""
        campaign_id = f"{self._random.getrandbits(96):024x}"
        if is_held:
            # Few enough that some request the same campaign, and share its look-up.
            campaign_id = f"{HELD}{self._random.randrange(100):020x}"
            self.held.add(campaign_id)
        request = self._random.choice(self._make)(campaign_id)
        head = request.index(b"\r\n\r\n") + 4
        cut = len(request)
        if "headers" in way:
            cut = self._random.randrange(1, head)
        elif "body" in way:
            cut = self._random.randrange(head, len(request))
        opened = socket.create_connection(self._address, PATIENCE)
        opened.sendall(request * 3 if "more" in way else request[:cut])
        if "answer" in way:
            opened.recv(1)
        self._open.append((opened, way))
        self.ways[way] += 1

    def vanish(self) -> None:
        for opened, way in self._open:
            if "FIN" not in way and self._random.random() < 0.7:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            opened.close()
        self._open.clear()
        self.held.clear()


def run(target: Target, api: Api, *, count: int, seed: int, growth: float, metrics: str | None) -> Report:
    """Let ``count`` clients connect and disappear, a hundred at a time.

    Args:
        target: The server.
        api: Its API, without faults.
        count: The number of clients, a multiple of 100.
        seed: The seed for what they request and where they stop.
        growth: How much memory may grow from a tenth of the clients to the end, as a share.
        metrics: The URL of the server's metrics, if it has any.
    """
    report, process = Report(f"{count:,} clients that vanish mid-call, seed {seed}"), target.process
    crowd, memory, waits = Crowd(target, random.Random(seed)), [], []
    report.require(answers_well(target), "a good call fails before")
    descriptors, _ = process.descriptors(api.url)
    for _ in range(count // 100):
        for way, share, is_held in WAYS:
            for _ in range(share):
                crowd.come(way, is_held)
        report.require(_reaches(api, len(crowd.held).__le__), "look-ups did not reach the API")
        crowd.vanish()
        started = time.perf_counter()
        report.require(_reaches(api, (0).__eq__), "the API's requests stay in flight")
        waits.append(time.perf_counter() - started)
        memory.append(process.memory())
        if report.problems:
            break
    in_flight = until(lambda: _gauges(metrics), lambda gauges: not any(gauges.values()))
    stats = api.stats()
    report.require(answers_well(target), "a good call fails afterwards")
    after, pooled = until(lambda: process.descriptors(api.url), lambda now: now[0] <= descriptors)
    early, last = memory[len(memory) // 10], memory[-1]
    report.figures = {
        **{f"vanished {way}": f"{number:,}" for way, number in crowd.ways.items()},
        "requests at the API, and those it saw abandoned": f"{stats['requests']:,}, {stats['abandoned']:,}",
        "slowest until the API had none in flight": f"{max(waits) * 1000:.0f} ms",
        "in flight at the end": f"{stats['in_flight']} at the API, "
        + (", ".join(f"{name} {value:g}" for name, value in in_flight.items()) or "no metrics"),
        "memory after a tenth of them, and at the end": f"{early:.1f} MiB, {last:.1f} MiB",
        "descriptors before and after": f"{descriptors}, {after}; and {pooled} connections to the API kept for later",
    }
    report.require(not any(in_flight.values()), f"the metrics count calls in flight: {in_flight}")
    report.require(not metrics or bool(in_flight), "the metrics have no gauge of what is in flight")
    report.require(not early or last <= early * (1 + growth), "memory grew")
    report.require(after <= descriptors + 2, f"{after - descriptors} descriptors more than before")
    report.require(pooled <= POOL, f"{pooled} connections to the API")
    report.require("Traceback" not in process.log(), f"the log has a stack trace: {process.log()[-1500:]}")
    return report


def _reaches(api: Api, is_reached: Callable[[int], bool]) -> bool:
    return is_reached(until(lambda: api.stats()["in_flight"], is_reached))


def _gauges(metrics: str | None) -> dict[str, float]:
    if metrics is None:
        return {}
    text = httpx2.get(metrics, timeout=PATIENCE, trust_env=False).text
    return {name: float(value) for name, value in _GAUGE.findall(text)}
