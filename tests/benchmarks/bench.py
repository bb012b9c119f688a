"""Compare callers-mcp with a bare SDK server: start-up, latency, throughput and memory, as ratios within one run.

    python tests/benchmarks/bench.py [--rounds 7]

Each round starts both servers, one after the other, over stdio, with a simple client that is the same for both, and
with the same simulated API on loopback. It prints the medians over the rounds, and the ratio of callers-mcp to the bare
server.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

CAMPAIGN_ID = "665f1c2ab1e4a9d0c7f3b812"
CAMPAIGN = {
    "id": CAMPAIGN_ID,
    "name": "Spring renewals",
    "active": True,
    "firstInteractionAt": "2026-03-02T08:01:12.000Z",
    "completedAt": None,
    "callParams": {
        "phonesFrom": ["+442071838750", "+4930901820"],
        "timezone": "Europe/London",
        "daysOfWeek": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
        "language": "en-GB",
        "approvedCountries": ["GB", "DE"],
    },
    "organizationId": "65aa0011223344556677889a",
    "webhooks": ["https://hooks.example.com/post-call?token=abc", "https://crm.example.com/in"],
    "slackUrl": None,
    "isIncoming": False,
    "variables": [f"custom_{number:02d}" for number in range(60)],
    "pauseNewChats": False,
    "incomingPhoneNumber": None,
    "campaignGroupId": None,
    "campaignGroupName": None,
}
BODY = json.dumps(CAMPAIGN).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
SERVERS = {
    "callers-mcp": [sys.executable, "-m", "callers_mcp"],
    "bare SDK server": [sys.executable, str(Path(__file__).with_name("bare_server.py"))],
}
CALL = {"name": "get_campaign", "arguments": {"campaign_id": CAMPAIGN_ID}}
IN_FLIGHT = 50


class Pipe:
    """A server over stdio, called with JSON lines."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._last_id = 0

    def send(self, method: str, params: dict[str, Any] | None = None, *, notification: bool = False) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if not notification:
            self._last_id += 1
            message["id"] = self._last_id
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "result" in answer, answer
        return answer

    def handshake(self) -> None:
        client = {"name": "bench", "version": "1"}
        self.send("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
        self.receive()
        self.send("notifications/initialized", notification=True)
        self.send("tools/list")
        self.receive()

    def peak_memory(self) -> float:
        """Return the peak memory in MiB; 0 if the system does not report it."""
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0.0
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def start_upstream() -> int:
    """Serve ``CAMPAIGN`` from a thread with its own event loop; return the port."""
    ports: list[int] = []
    ready = threading.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    ready.wait()
    return ports[0]


def measure(command: list[str], environment: dict[str, str], calls: int) -> dict[str, float]:
    """Start one server, call it and stop it; return the figures of this round."""
    started = time.perf_counter()
    pipe = Pipe(command, environment)
    pipe.handshake()
    figures = {"cold start, ms": (time.perf_counter() - started) * 1000}
    pipe.send("tools/call", CALL)
    pipe.receive()
    figures["first call answered, ms"] = (time.perf_counter() - started) * 1000
    latencies = []
    for _ in range(calls):
        sent = time.perf_counter()
        pipe.send("tools/call", CALL)
        pipe.receive()
        latencies.append((time.perf_counter() - sent) * 1000)
    figures["p50 of a call, ms"] = statistics.median(latencies)
    started = time.perf_counter()
    in_flight = min(IN_FLIGHT, calls)
    for _ in range(in_flight):
        pipe.send("tools/call", CALL)
    for number in range(calls * 2):
        pipe.receive()
        if number < calls * 2 - in_flight:
            pipe.send("tools/call", CALL)
    figures[f"calls a second, {IN_FLIGHT} in flight"] = calls * 2 / (time.perf_counter() - started)
    figures["peak memory, MiB"] = pipe.peak_memory()
    pipe.close()
    return figures


def main() -> None:
    """Measure both servers, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    url = f"http://127.0.0.1:{start_upstream()}"
    environment = os.environ | {"CALLERS_API_KEY": "k" * 32, "CALLERS_BASE_URL": url}
    rounds: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in SERVERS}
    warm_up = 1 if options.rounds > 1 else 0
    for number in range(options.rounds + warm_up):
        for name, command in SERVERS.items():
            for figure, value in measure(command, environment, options.calls).items():
                if number >= warm_up:  # the first round warms the caches
                    rounds[name][figure].append(value)
    ours, bare = (rounds[name] for name in SERVERS)
    print("| median of each figure | " + " | ".join(SERVERS) + " | ratio |\n| --- | --- | --- | --- |")
    for figure in ours:
        mine, theirs = statistics.median(ours[figure]), statistics.median(bare[figure])
        print(f"| {figure} | {mine:.1f} | {theirs:.1f} | {mine / theirs if theirs else 0:.2f} |")


if __name__ == "__main__":
    main()
