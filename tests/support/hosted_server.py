"""``callers-mcp http`` as a process, and HTTP spoken to it in bytes, so that a test can say anything."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from tests.conftest import PROXIES
from tests.support import fault_server as fault
from tests.support.constants import PATIENCE
from tests.support.fault_server import Behaviour, Exchange
from tests.support.stdio_process import ENVELOPE

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST = "2026-07-28"
VERSIONS = (*HANDSHAKES, LATEST)
HAS_PROC = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the workers in /proc, which is not here"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def result(self) -> dict[str, Any]:
        """What the JSON-RPC message holds."""
        assert self.status == 200, self
        result: dict[str, Any] = self.content["result"]
        return result


class Door:
    """One connection to a server.

    Args:
        url: What hosts take for its endpoint.
        address: Where it listens.
        tls: How to speak TLS, where it does.
    """

    def __init__(self, url: str, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.path, self.host = parts.path, parts.netloc
        self._socket = socket.create_connection(address, PATIENCE)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def post(self, message: object, **headers: str) -> None:
        """Send a JSON-RPC message, as JSON unless it is bytes."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.send(self.head("POST", self.path, Content_Length=str(len(body)), **headers) + body)

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """Write the head of a request as hosts send it, with ``headers`` over the usual ones; "" takes one away."""
        usual = {"Host": self.host, "Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Return the next answer."""
        first = self._file.readline().decode()
        assert first.startswith("HTTP/1.1 "), f"no answer: {first!r}"
        lines = iter(self._file.readline, b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
        body = b"" if bodiless else self._file.read(int(headers["content-length"]))
        return Answer(int(first.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Wait for what comes next, and tell whether it is the end."""
        try:
            return not self._file.read(1)
        except ConnectionError:
            return True


class Hosted:
    """A spawned server that serves within its ``with`` block.

    Args:
        arguments: Options of ``callers-mcp http``; the port is a free one.
        environment: The ``CALLERS_*`` variables of the server.
        before: Python to run before the command, such as to shorten a limit.

    Attributes:
        said: What it printed at its start, by line.
        url: What hosts take for its endpoint.
        address: Where it listens.
    """

    def __init__(
        self, *arguments: str, environment: Mapping[str, str] | None = None, before: str | None = None
    ) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CALLERS_") and name.upper() not in PROXIES
        }
        command = ["-c", f"{before}\nfrom callers_mcp.cli import main\nmain()"] if before else ["-m", "callers_mcp"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "http", "--port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | {"CALLERS_HTTP_DRAIN_SECONDS": "0"} | dict(environment or {}),
            start_new_session=True,
        )
        self._errors: list[bytes] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self.said = self._read_said()
        found = re.search(r"https?://(\S+)/\S+(?: \(listening on (\S+)\))?", self.said[0])
        if not found:
            self._reader.join()
            raise AssertionError(f"it did not start: {self.errors}")
        self.url = found[0].split()[0]
        host, _, port = (found[2] or found[1]).rpartition(":")
        self.address = host.strip("[]"), int(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    @property
    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return b"".join(self._errors).decode()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send it a signal, wait for its end, and return its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        return self.end_by_itself()

    def end_by_itself(self) -> tuple[int, str]:
        """Wait for its end, and return its exit code and what it wrote to stderr."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code, self.errors

    def workers(self, count: int) -> list[int]:
        """Wait until so many workers are there, and return their process ids."""
        found: list[int] = []

        def are_there() -> bool:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            found[:] = [int(pid) for pid in children if b"spawn_main" in command_of(pid)]
            return len(found) == count

        until(are_there, f"there are {count} workers")
        return found

    def doors_of_workers(self, count: int) -> list[Door]:
        """Return a connection to each worker, found by stopping the others for a moment."""
        doors, workers = [], self.workers(count)
        for taken in workers:
            others = [worker for worker in workers if worker != taken]
            for worker in others:
                os.kill(worker, signal.SIGSTOP)
            doors.append(self.door())
            doors[-1].send(doors[-1].head("GET", "/healthz"))
            assert doors[-1].answer().status == 200
            for worker in others:
                os.kill(worker, signal.SIGCONT)
        return doors

    def door(self, tls: ssl.SSLContext | None = None, address: str | None = None) -> Door:
        return Door(self.url, (address or self.address[0], self.address[1]), tls)

    def ask(self, method: str, path: str, **headers: str) -> Answer:
        """Send a request without a body over a connection of its own."""
        with self.door() as door:
            door.send(door.head(method, path, **headers))
            return door.answer(bodiless=method == "HEAD")

    def post(self, message: object, **headers: str) -> Answer:
        """Send a message over a connection of its own."""
        with self.door() as door:
            door.post(message, **headers)
            return door.answer()

    def call(self, campaign_id: str, place: str | None = None, **headers: str) -> Answer:
        """Look a campaign up over a connection of its own."""
        message, routing = look_up(campaign_id, place)
        return self.post(message, **routing | headers)

    def begin(self, campaign_id: str, version: str = HANDSHAKES[-1], **headers: str) -> Door:
        """Begin a look-up whose answer is read later."""
        door = self.door()
        message, routing = look_up(campaign_id, version=version)
        door.post(message, **routing | headers)
        return door

    def _read_said(self) -> list[str]:
        assert self.process.stdout
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        said = [self.process.stdout.readline().decode().rstrip("\n") for _ in range(3)]
        watch.cancel()
        return said

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._errors.append(line)


def message(
    method: str, params: dict[str, Any] | None = None, *, version: str = HANDSHAKES[-1], name: str = ""
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a JSON-RPC request, and the headers that go with it."""
    headers = {"MCP_Protocol_Version": version}
    if version == LATEST:
        params = {**(params or {}), "_meta": ENVELOPE}
        headers |= {"Mcp_Method": method, "Mcp_Name": name}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}, headers


def look_up(
    campaign_id: str, place: str | None = None, *, version: str = HANDSHAKES[-1]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the request that looks a campaign up, and the headers that go with it."""
    arguments = {"campaign_id": campaign_id} | ({} if place is None else {"sub_organization_id": place})
    return message("tools/call", {"name": "get_campaign", "arguments": arguments}, version=version, name="get_campaign")


def campaign_id(number: int) -> str:
    return f"{number:024x}"


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or waits for nothing but to be collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def command_of(pid: int | str) -> bytes:
    """Return a process's command line; of one that is gone, or just going, nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def the_id(answer: Answer) -> Any:
    return answer.result["structuredContent"]["raw"]["id"]


def until(promise: Callable[[], bool], what: str) -> None:
    """Wait until a promise holds."""
    deadline = time.monotonic() + PATIENCE
    while not promise():
        assert time.monotonic() < deadline, f"this never came true: {what}"
        time.sleep(0.02)


def echo(exchange: Exchange) -> None:
    """Answer with a campaign that has the id that was asked for."""
    fault.answer({"id": exchange.request.target.rpartition("/")[2], "name": "Echo"})(exchange)


class Hold:
    """Has the API answer when the test says so, unless the client leaves before.

    Attributes:
        release: Lets the answers go.
        left: How many clients left.
    """

    def __init__(self, then: Behaviour = echo) -> None:
        self.release, self.left, self._then = threading.Event(), 0, then

    def __call__(self, exchange: Exchange) -> None:
        while not self.release.wait(0.02):
            if exchange.server.stopping.is_set():
                return
            if exchange.peer_left():
                self.left += 1
                return
        self._then(exchange)
