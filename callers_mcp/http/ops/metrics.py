"""Prometheus metrics. No label contains a campaign, a caller or a token.

=============================================  =========  ==========================================================
``callers_mcp_look_ups_total``                 outcome    finished look-ups: ``found``, ``cancelled``, or the error
``callers_mcp_look_up_duration_seconds``                  how long the callers waited
``callers_mcp_look_ups_in_flight``                        look-ups in progress
``callers_mcp_shared_look_ups_total``                     look-ups that shared another one's request
``callers_mcp_api_request_duration_seconds``              how long each request to the API took
``callers_mcp_api_retries_total``                         requests to the API after a look-up's first one
``callers_mcp_authentication_failures_total``  reason     requests refused before a tool ran
``callers_mcp_turned_away_calls_total``                   calls above the limit of concurrent calls
=============================================  =========  ==========================================================
"""

import logging
import os
import socket
from collections.abc import Iterable
from functools import partial
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

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OTHER_LABEL = "other"  # labels have a fixed set of values, so a client can't make the metrics grow

_KINDS = {error.kind for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "kind")}
_OUTCOMES = ("found", "cancelled", *sorted(_KINDS), _OTHER_LABEL)
_REASONS = (
    *("missing", "malformed", "unknown", "expired", "not_yet", "issuer", "audience", "claims", "subject", "type"),
    *("too_long", "signature", "algorithm", "unknown_key", "scope", "issuer_unavailable", "forwarded", "plain_http"),
    _OTHER_LABEL,
)

logger = logging.getLogger(__name__)


class MetricsError(Exception):
    """The metrics can't be served; the message is one line that says what to do."""


class Metrics:
    """The metrics; the look-up methods are the same as in ``Observer``."""

    def __init__(self) -> None:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # for another program; prometheus_client reads it at import
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would add a series to each counter
        self._registry = CollectorRegistry()
        self._server: _Server | None = None
        counter = partial(Counter, namespace="callers_mcp", registry=self._registry)
        histogram = partial(Histogram, namespace="callers_mcp", registry=self._registry, buckets=_BUCKETS)
        lookups = counter("look_ups", "Finished look-ups.", ["outcome"])
        rejections = counter("authentication_failures", "Requests refused before a tool ran.", ["reason"])
        self._lookups_by_outcome = {name: lookups.labels(name) for name in _OUTCOMES}
        self._rejections_by_reason = {name: rejections.labels(name) for name in _REASONS}
        self._seconds = histogram("look_up_duration_seconds", "How long the callers waited.")
        self._api_seconds = histogram("api_request_duration_seconds", "How long each request to the API took.")
        self._in_flight = Gauge("callers_mcp_look_ups_in_flight", "Look-ups in progress.", registry=self._registry)
        self._retries = counter("api_retries", "Requests to the API after a look-up's first one.")
        self._shared = counter("shared_look_ups", "Look-ups that shared another one's request.")
        self._over_capacity = counter("turned_away_calls", "Calls above the limit of concurrent calls.")

    def on_lookup_started(self) -> None:
        """Count a started look-up."""
        self._in_flight.inc()

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Count a finished look-up."""
        self._in_flight.dec()
        self._lookups_by_outcome.get(event.outcome, self._lookups_by_outcome[_OTHER_LABEL]).inc()
        self._seconds.observe(event.seconds)
        if event.shared:
            self._shared.inc()  # its attempts are counted with the look-up that made the request
        elif event.attempts > 1:
            self._retries.inc(event.attempts - 1)

    def on_api_request(self, seconds: float) -> None:
        """Count a finished request to the API."""
        self._api_seconds.observe(seconds)

    def count_rejection(self, reason: str) -> None:
        """Count a request that was refused before a tool ran."""
        self._rejections_by_reason.get(reason, self._rejections_by_reason[_OTHER_LABEL]).inc()

    def count_over_capacity(self) -> None:
        """Count a call above the limit of concurrent calls."""
        self._over_capacity.inc()

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics on a separate port, and return the port; port 0 means a free one.

        Raises:
            MetricsError: The address can't be used.
        """
        try:
            self._server = _Server((host, port))
        except (OSError, TypeError) as error:  # TypeError: not a valid host name
            why = getattr(error, "strerror", None) or "not an address"
            raise MetricsError(
                f"{variable('metrics')}: {host} port {port} can't be used ({why}); set another address."
            ) from None
        self._server.set_app(partial(_respond, self._registry))
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        url_host = f"[{host}]" if ":" in host else host
        logger.info("metrics are on http://%s:%d/metrics", url_host, self._server.server_port)
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _respond(registry: "CollectorRegistry", environ: "WSGIEnvironment", respond: "StartResponse") -> Iterable[bytes]:
    from prometheus_client import make_wsgi_app

    if environ["PATH_INFO"] == "/metrics":
        try:
            response: Iterable[bytes] = make_wsgi_app(registry)(environ, respond)
            return response
        except Exception as error:  # such as for an Accept header that prometheus-client can't parse
            logger.warning("the metrics can't be read now (%s)", type(error).__name__)
            status, message = "503 Service Unavailable", b"The metrics can't be read now.\n"
    else:
        status, message = "404 Not Found", b"The metrics are at /metrics.\n"
    respond(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(message)))])
    return [message]


class _Handler(WSGIRequestHandler):
    """Answers one request. It logs nothing that a client sends, and stops waiting for a client after 10 seconds."""

    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each request in a thread. The server of prometheus-client prints a stack trace if a client disconnects."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which takes seconds if DNS does not answer."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that disconnected."""
        logger.debug("a request for the metrics failed", exc_info=True)
