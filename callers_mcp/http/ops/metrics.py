"""What a Prometheus server is told: of no campaign, no caller and no token.

=============================================  =========  ==========================================================
``callers_mcp_look_ups_total``                 outcome    look-ups that ended: ``found``, ``cancelled``, or the error
``callers_mcp_look_up_duration_seconds``                  how long the callers waited
``callers_mcp_look_ups_in_flight``                        look-ups now
``callers_mcp_shared_look_ups_total``                     look-ups that joined another one's request
``callers_mcp_api_request_duration_seconds``              how long each request to the API took
``callers_mcp_api_retries_total``                         requests to the API beyond a look-up's first
``callers_mcp_authentication_failures_total``  reason     requests that were refused at the door
``callers_mcp_turned_away_calls_total``                   calls beyond those allowed at once
=============================================  =========  ==========================================================

Several workers write to files in one folder, whose sum their parent serves (prometheus-client's multiprocess mode).
"""

import atexit
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from callers_mcp.api import errors
from callers_mcp.api.events import LookupEvent
from callers_mcp.http.settings import variable

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER_PREFIX = "callers-mcp-metrics-"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OTHER_LABEL = "other"  # a label has a closed set of values: nobody can make the metrics grow

_KINDS = {error.kind for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "kind")}
_OUTCOMES = ("found", "cancelled", *sorted(_KINDS), _OTHER_LABEL)
_REASONS = (
    *("missing", "malformed", "unknown", "expired", "not_yet", "issuer", "audience", "claims", "subject"),
    *(
        "type",
        "too_long",
        "signature",
        "algorithm",
        "unknown_key",
        "scope",
        "issuer_unavailable",
        "forwarded",
        "plain_http",
        _OTHER_LABEL,
    ),
)

logger = logging.getLogger(__name__)


class MetricsError(Exception):
    """The metrics can't be served; one line that says what to do."""


class Metrics:
    """Counts what happens in one process; told of look-ups as an observer is."""

    def __init__(self) -> None:
        if not Path(os.environ.get(_FOLDER_VARIABLE, "")).name.startswith(_FOLDER_PREFIX):
            os.environ.pop(_FOLDER_VARIABLE, None)  # somebody else's; it counts at the import that follows
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
        self._registry = CollectorRegistry()
        self._server: _Server | None = None
        counter = partial(Counter, namespace="callers_mcp", registry=self._registry)
        histogram = partial(Histogram, namespace="callers_mcp", registry=self._registry, buckets=_BUCKETS)
        lookups = counter("look_ups", "Look-ups that ended.", ["outcome"])
        rejections = counter("authentication_failures", "Requests that were refused at the door.", ["reason"])
        self._lookups_by_outcome = {name: lookups.labels(name) for name in _OUTCOMES}
        self._rejections_by_reason = {name: rejections.labels(name) for name in _REASONS}
        self._seconds = histogram("look_up_duration_seconds", "How long the callers waited.")
        self._api_seconds = histogram("api_request_duration_seconds", "How long each request to the API took.")
        self._in_flight = Gauge(
            "callers_mcp_look_ups_in_flight", "Look-ups now.", registry=self._registry, multiprocess_mode="livesum"
        )
        self._retries = counter("api_retries", "Requests to the API beyond a look-up's first.")
        self._shared = counter("shared_look_ups", "Look-ups that joined another one's request.")
        self._over_capacity = counter("turned_away_calls", "Calls beyond those allowed at once.")

    def on_lookup_started(self) -> None:
        """Count a look-up that begins."""
        self._in_flight.inc()

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Count a look-up that ended."""
        self._in_flight.dec()
        self._lookups_by_outcome.get(event.outcome, self._lookups_by_outcome[_OTHER_LABEL]).inc()
        self._seconds.observe(event.seconds)
        if event.shared:
            self._shared.inc()  # its attempts are another one's
        elif event.attempts > 1:
            self._retries.inc(event.attempts - 1)

    def on_api_request(self, seconds: float) -> None:
        """Count a request to the API that ended."""
        self._api_seconds.observe(seconds)

    def count_rejection(self, reason: str) -> None:
        """Count a request that was refused at the door."""
        self._rejections_by_reason.get(reason, self._rejections_by_reason[_OTHER_LABEL]).inc()

    def count_over_capacity(self) -> None:
        """Count a call that was one too many."""
        self._over_capacity.inc()

    def serve(self, host: str, port: int) -> int:
        """Serve this process's metrics on a port of their own, and return it; 0 takes a free one.

        Raises:
            MetricsError: The address can't be used.
        """
        self._server = _serve(host, port, self._registry)
        return self._server.server_port

    def close(self) -> None:
        """Serve no longer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def serve_multiprocess_metrics(host: str, port: int) -> Callable[[int], None]:
    """Serve the sum of all workers that are started from now on; return what is to be told the id of each that ended.

    Raises:
        MetricsError: The address can't be used.
    """
    folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_FOLDER_VARIABLE] = folder  # the workers inherit it
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    _serve(host, port, registry)
    return lambda pid: mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def _serve(host: str, port: int, registry: "CollectorRegistry") -> "_Server":
    try:
        server = _Server((host, port))
    except (OSError, TypeError) as error:  # TypeError: a name that no host can have
        why = getattr(error, "strerror", None) or "not an address"
        raise MetricsError(f"{variable('metrics')}: {host} port {port} can't be used ({why}); give another.") from None
    server.set_app(partial(_respond, registry))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    logger.info("metrics are on http://%s:%d/metrics", shown, server.server_port)
    return server


def _respond(registry: "CollectorRegistry", environ: "WSGIEnvironment", respond: "StartResponse") -> Iterable[bytes]:
    from prometheus_client import make_wsgi_app

    if environ["PATH_INFO"] == "/metrics":
        try:
            response: Iterable[bytes] = make_wsgi_app(registry)(environ, respond)
            return response
        except Exception as error:  # a worker may be about to make its files
            logger.warning("the metrics can't be read now (%s)", type(error).__name__)
            status, message = "503 Service Unavailable", b"The metrics can't be read now.\n"
    else:
        status, message = "404 Not Found", b"The metrics are at /metrics.\n"
    respond(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(message)))])
    return [message]


class _Handler(WSGIRequestHandler):
    """Answers one request; what strangers send to this port leaves no trace on stderr, and holds no thread for long."""

    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request; prometheus-client's own prints a stack trace for each client that breaks off."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the search for the host's name, which takes seconds where DNS does not answer."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a client that broke off alone."""
        logger.debug("a request for the metrics broke off", exc_info=True)
