"""The server as a host runs it: a process with two pipes, used line by line, so that a test can send any line.

Use it only for what a process can show; for everything else ``lookups`` and ``mcp_features`` are faster.
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.support.constants import PATIENCE, SAMPLE_ID

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "pipe", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Pipe:
    """A spawned server.

    Args:
        arguments: The arguments of ``callers-mcp``; not used with ``code``.
        environment: The ``CALLERS_*`` variables of the server.
        code: Python code to run instead of ``python -m callers_mcp``.
    """

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None, code: str | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLERS_")}
        command = ["-c", code] if code else ["-m", "callers_mcp", *arguments]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | (environment or {}),
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream and not stream.closed:
                with suppress(BrokenPipeError):
                    stream.close()

    def write(self, line: str | bytes) -> None:
        self.stdin.write((line.encode() if isinstance(line, str) else line) + b"\n")
        self.stdin.flush()

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request, and return its id."""
        self._last_id += 1
        self.write(json.dumps({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}}))
        return self._last_id

    def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}))

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        try:
            line = self.stdout.readline()
        finally:
            watch.cancel()
        assert line, "the server closed its stdout"
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request, and return its answer; other messages are dropped."""
        request_id = self.send(method, params)
        while (message := self.receive()).get("id") != request_id:
            pass
        return message

    def handshake(self, version: str = "2025-11-25") -> dict[str, Any]:
        client = {"name": "pipe", "version": "1"}
        answer = self.ask("initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": client})
        self.notify("notifications/initialized")
        result: dict[str, Any] = answer["result"]
        return result

    def call(self, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call ``get_campaign``, and return the result."""
        given = {"campaign_id": SAMPLE_ID} if arguments is None else arguments
        result: dict[str, Any] = self.ask("tools/call", {"name": "get_campaign", "arguments": given})["result"]
        return result

    def end(self) -> tuple[int, str]:
        """Wait until the process exits; return its exit code and stderr."""
        code = self.process.wait(PATIENCE)
        assert self.process.stderr
        return code, self.process.stderr.read().decode()
