"""A hosted server as a process (``callers-mcp http``), and requests to it.

Use ``Hosted`` only for what a process can show: the command line, its output, signals, exit codes. For everything else
use ``hosted_thread.HostedThread``, which starts in milliseconds and has the same methods.
"""

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.conftest import PROXIES
from tests.support.constants import PATIENCE
from tests.support.http_connection import Answer, HttpConnection
from tests.support.stdio_process import ENVELOPE

HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST = "2026-07-28"
VERSIONS = (*HANDSHAKES, LATEST)


class Endpoint:
    """A server that listens, and requests to it.

    Attributes:
        url: The URL of the endpoint, as in the configuration of a host.
        address: The address on which it listens.
    """

    url: str
    address: tuple[str, int]

    def connect(self, tls: ssl.SSLContext | None = None, address: str | None = None) -> HttpConnection:
        """Return a new connection. The caller closes it."""
        return HttpConnection(self.url, (address or self.address[0], self.address[1]), tls)

    def listens(self) -> bool:
        """Return whether it accepts new connections."""
        with suppress(ConnectionRefusedError):
            self.connect().close()
            return True
        return False

    def request(self, method: str, path: str, **headers: str) -> Answer:
        """Send a request without a body over a new connection."""
        with self.connect() as connection:
            connection.send(connection.head(method, path, **headers))
            return connection.answer(bodiless=method == "HEAD")

    def post(self, message: object, **headers: str) -> Answer:
        """Send a message over a new connection."""
        with self.connect() as connection:
            connection.post(message, **headers)
            return connection.answer()

    def look_up(self, campaign_id: str, place: str | None = None, **headers: str) -> Answer:
        """Look up a campaign over a new connection."""
        message, routing = look_up(campaign_id, place)
        return self.post(message, **routing | headers)

    def begin(self, campaign_id: str, version: str = HANDSHAKES[-1], **headers: str) -> HttpConnection:
        """Send a look-up, and return its connection, to read the answer later."""
        connection = self.connect()
        message, routing = look_up(campaign_id, version=version)
        connection.post(message, **routing | headers)
        return connection


class Hosted(Endpoint):
    """``callers-mcp http`` as a process that runs within its ``with`` block.

    Args:
        arguments: Options of ``callers-mcp http``; it listens on a free port.
        environment: The ``CALLERS_*`` variables of the server.
        code: Python code to run instead of ``python -m callers_mcp``.

    Attributes:
        printed: The lines on its stdout at the start.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None, code: str | None = None) -> None:
        program = ["-c", code] if code else ["-m", "callers_mcp"]
        self.process = subprocess.Popen(
            [sys.executable, *program, "http", "--port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment() | server_variables(environment),
            start_new_session=True,
        )
        self._errors: list[bytes] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self.printed = self._read_printed()
        found = re.search(r"https?://(\S+)/\S+(?: \(listening on (\S+),)?", self.printed[0])
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
        """The stderr so far."""
        return b"".join(self._errors).decode()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait until the process exits, and return its exit code and stderr."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait until the process exits, and return its exit code and stderr."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code, self.errors

    def _read_printed(self) -> list[str]:
        assert self.process.stdout
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        printed = [self.process.stdout.readline().decode().rstrip("\n") for _ in range(3)]
        watch.cancel()
        return printed

    def _read_errors(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._errors.append(line)


def clean_environment() -> dict[str, str]:
    """Return the environment of the tests, without settings and proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CALLERS_") and name.upper() not in PROXIES
    }


def server_variables(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return ``environment``, with a drain time of 0 unless it sets one."""
    return {"CALLERS_HTTP_DRAIN_SECONDS": "0"} | dict(environment or {})


def bearer(token: str) -> dict[str, str]:
    """Return the authorization header for a token."""
    return {"Authorization": f"Bearer {token}"}


def message(
    method: str, params: dict[str, Any] | None = None, *, version: str = HANDSHAKES[-1], name: str = ""
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a JSON-RPC request, and its headers."""
    headers = {"MCP_Protocol_Version": version}
    if version == LATEST:
        params = {**(params or {}), "_meta": ENVELOPE}
        headers |= {"Mcp_Method": method, "Mcp_Name": name}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}, headers


def look_up(
    campaign_id: str, place: str | None = None, *, version: str = HANDSHAKES[-1]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the request that looks up a campaign, and its headers."""
    arguments = {"campaign_id": campaign_id} | ({} if place is None else {"sub_organization_id": place})
    return message("tools/call", {"name": "get_campaign", "arguments": arguments}, version=version, name="get_campaign")
