"""The hosted server in a thread of the test process: the real application on the real uvicorn, over a real socket.

It starts in milliseconds. Use ``hosted_server.Hosted`` only for what a process can show: output, signals, exit codes.
"""

import gc
import logging
import os
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import trustme

from callers_mcp.http.app import HostedServer
from callers_mcp.http.runtime import process
from callers_mcp.http.settings import HostingSettings
from callers_mcp.settings import Settings
from tests.support.constants import PATIENCE
from tests.support.hosted_server import Endpoint, clean_environment, server_variables
from tests.support.http_connection import HttpConnection
from tests.support.waiting import until


class HostedThread(Endpoint):
    """A hosted server that serves within its ``with`` block, and then stops as after SIGTERM.

    Args:
        environment: The ``CALLERS_*`` variables of the server.
        host: The address on which it listens.
        tls: Whether it serves TLS, as with ``--certfile``.
        send_buffer: The bytes of a response that the system keeps for a client that does not read; 0 is its default.

    Attributes:
        hosted: The application.
        exit_code: The exit code that a process would have; set when the server has stopped.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        tls: bool = False,
        send_buffer: int = 0,
    ) -> None:
        self._variables = server_variables(environment)
        self._host, self._send_buffer = host, send_buffer
        self._tls: ssl.SSLContext | None = None
        self._trust: ssl.SSLContext | None = None
        if tls:
            self._tls, self._trust = _tls_contexts(host)
        self._stack = ExitStack()
        self._log = _Records()
        self._server: process._Server | None = None
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            with patch.dict(os.environ, clean_environment() | self._variables, clear=True):
                settings = Settings.from_environment()
                stack.enter_context(self._log.kept(settings.log_level))
                family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
                listener = stack.enter_context(socket.create_server((self._host, 0), family=family, backlog=2048))
                if self._send_buffer:
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
                self.address = (self._host, listener.getsockname()[1])
                hosting = HostingSettings.from_environment(
                    host=self._host, port=self.address[1], tls=self._tls is not None
                )
                self.url = hosting.url
                self.hosted = HostedServer(settings, hosting)
            if self.hosted.metrics and hosting.metrics:
                self.hosted.metrics.serve(*hosting.metrics)
            stack.enter_context(_process_state_kept())
            thread = threading.Thread(target=self._serve, args=(listener,), name="hosted server", daemon=True)
            stack.enter_context(patch.object(process, "_Server", self._make_server))
            thread.start()
            stack.callback(self._stop, thread)
            until(lambda: self._is_started() or not thread.is_alive(), "the server has started")
            assert self._is_started(), self.errors
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def connect(self, tls: ssl.SSLContext | None = None, address: str | None = None) -> HttpConnection:
        """Return a new connection. The caller closes it."""
        return super().connect(tls or self._trust, address)

    @property
    def errors(self) -> str:
        """The log so far, as on stderr of a process, but without masking."""
        return self._log.text

    def _serve(self, listener: socket.socket) -> None:
        self.exit_code = process.serve(self.hosted, listener, self._tls)

    def _make_server(self, *arguments: Any) -> process._Server:
        self._server = _ServerInThread(*arguments)
        return self._server

    def _is_started(self) -> bool:
        return self._server is not None and self._server.started

    def _stop(self, thread: threading.Thread) -> None:
        if self._server:
            self._server.handle_exit(signal.SIGTERM, None)
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


class _ServerInThread(process._Server):
    """The server of a process, but without signals, which only a main thread can handle; call ``handle_exit``."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _tls_contexts(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server at ``host``, and of its clients."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(server)
    authority.configure_trust(client)
    return server, client


class _Records(logging.Handler):
    """Keeps log records as text."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    @contextmanager
    def kept(self, level: str) -> Iterator[None]:
        """Keep the server's records from ``level`` up and warnings of libraries, as a process would log them."""
        ours = logging.getLogger("callers_mcp")
        before = ours.level
        ours.setLevel(level)
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)
            ours.setLevel(before)


@contextmanager
def _process_state_kept() -> Iterator[None]:
    """Restore the state that the server sets for its process: a limit, a log level, objects frozen by ``gc``."""
    uvicorn = logging.getLogger("uvicorn.error")
    level, limits = uvicorn.level, resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield
    finally:
        uvicorn.setLevel(level)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        gc.unfreeze()
