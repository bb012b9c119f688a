"""One process of a hosted server: it listens, and it ends as an operator expects."""

import gc
import logging
import math
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import uvicorn

from callers_mcp.http.app import HostedServer
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.runtime.protocol import BoundedProtocol
from callers_mcp.http.settings import HostingSettings
from callers_mcp.settings import Settings

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than the proxy in front keeps an idle connection, so that it is the one to close it."""

MAX_CONNECTIONS = 10_000
"""Of clients at once, idle ones included; more are told to come back."""

_MAX_FILE_DESCRIPTORS = 2 * MAX_CONNECTIONS
_GRACE_SECONDS = 5  # beyond the deadline of the last call
_SAME_INTERRUPT_SECONDS = 1.0  # a terminal tells each process, and the parent of several workers tells them again


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """What a process has to serve, and how; it is handed to each worker.

    Attributes:
        settings: The key, the base URL, the limits.
        hosting: Who may call, and how it is looked after.
        certfile: The certificate chain, where the server itself speaks TLS.
        keyfile: Its key.
        instructions: What a model is told, where not the usual.
    """

    settings: Settings
    hosting: HostingSettings
    certfile: str | None = None
    keyfile: str | None = None
    instructions: str | None = None


def serve(serve_config: ServeConfig, hosted: HostedServer, listener: socket.socket) -> int:
    """Serve until a signal ends it, and return the exit code.

    SIGTERM drains: readiness turns off, and for ``CALLERS_HTTP_DRAIN_SECONDS`` new calls are still answered. Then no
    new connection is taken, and the calls in flight end within their deadline. SIGINT does the same without the drain,
    and a second one, later, does not wait for the calls.
    """
    _allow_many_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are of what strangers send
    config = uvicorn.Config(
        hosted.app,
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(serve_config.settings.timeout) + _GRACE_SECONDS,
        ssl_certfile=serve_config.certfile,
        ssl_keyfile=serve_config.keyfile,
    )
    server = _Server(config, hosted.readiness, serve_config.hosting.drain_seconds)
    gc.collect()
    gc.freeze()  # what is loaded stays: no collection need look at it again
    gc.enable()
    server.run([listener])
    return server.exit_code


class _Server(uvicorn.Server):
    """Uvicorn, ended by us: it alone stops listening at once, and dies by the signal."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_seconds = drain_seconds
        self._closes_at = self._interrupted_at = math.inf
        self.exit_code = 0

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle the signals while the block runs."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "pthread_sigmask"):  # a worker is born with interrupts held back
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or close at once."""
        self._readiness.draining = True
        if sig == signal.SIGINT:
            self.exit_code = 130
            now = time.monotonic()
            if now > self._interrupted_at + _SAME_INTERRUPT_SECONDS:
                self.force_exit = True
                logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it would say of all that it was cut off
            self._interrupted_at = min(self._interrupted_at, now)
            self.should_exit = True
        else:
            self._closes_at = min(self._closes_at, time.monotonic() + self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Tell, ten times a second, whether to close."""
        return await super().on_tick(counter) or time.monotonic() >= self._closes_at


def _allow_many_connections() -> None:
    """Take as many descriptors as the system gives: each client and each request to the API needs one."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft_limit = (
            _MAX_FILE_DESCRIPTORS if hard_limit == resource.RLIM_INFINITY else min(hard_limit, _MAX_FILE_DESCRIPTORS)
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))
