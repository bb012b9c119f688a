"""A real Redis that a test may start, stop and kill. Tests that use it have the mark ``parts``."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.constants import PATIENCE


class RedisServer:
    """A Redis that runs within its ``with`` block. It can be started again with another block.

    Args:
        folder: Its working directory.
        options: Further options for ``redis-server``.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/1"

    def __enter__(self) -> Self:
        location = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        self.process = subprocess.Popen(
            ["redis-server", *location, "--save", "", "--appendonly", "no", "--loglevel", "warning", *self._options],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE):
                    return self
            except ConnectionRefusedError:
                assert self.process.poll() is None, "redis-server did not start"
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.send(signal.SIGKILL)
        assert self.process
        self.process.wait(PATIENCE)

    def clear(self) -> None:
        """Delete all data."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(100) == b"+OK\r\n"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self.process
        self.process.send_signal(number)
