"""The process of the hosted server: serve on a socket, and shut down gracefully."""

import asyncio
import gc
import logging
import math
import signal
import socket
import ssl
import time
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any

import uvicorn

from callers_mcp.http.app import HostedServer
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.runtime.protocol import HEAD_TIMEOUT_SECONDS, MAX_REFUSED_CONNECTIONS, BoundedProtocol
from callers_mcp.http.runtime.server import server_config
from callers_mcp.server.card import card_html

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than in the proxy in front, so that the proxy closes it first."""

MAX_CONNECTIONS = 10_000
"""Concurrent client connections, idle ones included; further ones get status 503. Fewer if few files may be open."""

_LAZY_MODULES = (
    "callers_mcp.server.completion",
    "callers_mcp.server.prompts",
    "callers_mcp.server.resources",
    "cryptography.hazmat.backends.openssl.backend",
    "difflib",
    "h11",
    "httpcore2",
    "rapidfuzz.distance",
    "rapidfuzz.fuzz",
    "rapidfuzz.process",
    "truststore",
)
_OTHER_DESCRIPTORS = 120  # beside clients and the API: refused clients, metrics, the store of the rate limit, files
_GRACE_SECONDS = 5  # after the deadline of the last call


def load_everything() -> None:
    """Load what the first requests would load, so that an upgrade or removal of the packages changes nothing."""
    for module in _LAZY_MODULES:
        import_module(module)
    card_html()  # reads the card's files


def serve(hosted: HostedServer, listener: socket.socket, tls: ssl.SSLContext | None = None) -> int:
    """Serve until a signal stops the process, and return the exit code.

    SIGTERM drains: readiness turns off, and new calls are still answered for ``CALLERS_HTTP_DRAIN_SECONDS``. Then no
    new connection is accepted, and the calls in progress finish within their deadline. SIGINT does the same without
    the drain, and a second SIGINT does not wait for the calls.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are about bad input from clients
    config = server_config(
        hosted.app,
        lifespan="on",
        proxy_headers=False,
        limit_concurrency=_client_connections(hosted.settings.max_connections),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(hosted.settings.timeout) + _GRACE_SECONDS,
    )
    config.load()
    config.ssl = tls
    server = _Server(config, hosted.readiness, hosted.hosting.drain_seconds)
    gc.collect()
    gc.freeze()  # the loaded modules stay, so no later collection has to scan them
    gc.enable()
    server.run([listener])
    return server.exit_code


class _Server(uvicorn.Server):
    """Uvicorn with a graceful shutdown. By default it stops listening at once, and raises the signal again at exit."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self._tls_tasks: set[asyncio.Task[Any]] = set()  # one accepts connections, the others are handshakes
        self._readiness = readiness
        self._drain_seconds = drain_seconds
        self._closes_at = math.inf
        self.exit_code = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on SIGTERM; close on SIGINT."""
        if not self._readiness.draining:
            self._readiness.draining = True
            # The client's next request has to reach another server.
            self.config.encoded_headers.append((b"connection", b"close"))
            self.server_state.default_headers.append((b"connection", b"close"))
        if sig == signal.SIGINT:
            if self.exit_code:  # the second one
                self.force_exit = True
                logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it would log each call that is cut off
            self.exit_code = 130
            self.should_exit = True
        else:
            self._closes_at = min(self._closes_at, time.monotonic() + self._drain_seconds)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. TLS connections are accepted here: uvicorn would not count and limit them before their handshake."""
        await super().startup([] if self.config.ssl else sockets)
        if self.config.ssl and sockets:
            self._tls_tasks.add(asyncio.create_task(self._accept(sockets[0])))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish the calls, and stop."""
        for task in self._tls_tasks:
            task.cancel()
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop, tls, state = asyncio.get_running_loop(), self.config.ssl, self.lifespan.state
        protocol = partial(BoundedProtocol, config=self.config, server_state=self.server_state, app_state=state)
        listener.setblocking(False)
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # such as too many open files
                await asyncio.sleep(0.1)
                continue
            connections = len(self.server_state.connections) + len(self._tls_tasks)
            if connections > (self.config.limit_concurrency or MAX_CONNECTIONS) + MAX_REFUSED_CONNECTIONS:
                BoundedProtocol.log_refusal(connections)
                client.close()
                continue
            made = loop.connect_accepted_socket(protocol, client, ssl=tls, ssl_handshake_timeout=HEAD_TIMEOUT_SECONDS)
            self._tls_tasks.add(task := loop.create_task(made))
            task.add_done_callback(self._end_handshake)

    def _end_handshake(self, task: asyncio.Task[Any]) -> None:
        self._tls_tasks.discard(task)
        _ = task.cancelled() or task.exception()  # a client's failure is not logged

    async def on_tick(self, counter: int) -> bool:
        """Return whether to close; called ten times a second."""
        return await super().on_tick(counter) or time.monotonic() >= self._closes_at


def _client_connections(api_connections: int) -> int:
    """Raise the limit of file descriptors, and return how many clients may be connected: there is room for the API."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_CONNECTIONS
    reserved = api_connections + _OTHER_DESCRIPTORS
    wanted = MAX_CONNECTIONS + reserved
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard_limit == resource.RLIM_INFINITY else min(hard_limit, wanted)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard_limit))
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = max(1, min(MAX_CONNECTIONS, soft_limit - reserved))
    if connections < MAX_CONNECTIONS:
        logger.warning(
            "Because of the limit of open files, %d, only %d clients can be connected at once; raise it (ulimit -n).",
            soft_limit,
            connections,
        )
    return connections
