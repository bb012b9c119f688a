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
``callers_mcp_key_fetch_failures_total``                  failed fetches of the OAuth issuer's keys
=============================================  =========  ==========================================================
"""

import asyncio
import logging
import os
from functools import partial
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callers_mcp.api import errors
from callers_mcp.api.events import LookupEvent, Observer
from callers_mcp.http.rejections import REASONS
from callers_mcp.http.runtime.server import listen, server_config
from callers_mcp.http.settings import variable

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OUTCOMES = {error.kind for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "kind")}
_MAX_CONNECTIONS = 20

logger = logging.getLogger(__name__)


class Metrics(Observer):
    """Counts look-ups and refused requests.

    Args:
        log: Receives each finished look-up after it was counted.
    """

    def __init__(self, log: Observer) -> None:
        for variable_ in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
            os.environ.pop(variable_, None)  # for another program; prometheus_client reads it at import
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        # They would add a series to each counter. prometheus_client has no types for this function.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._log = log
        self._registry = CollectorRegistry()
        counter = partial(Counter, namespace="callers_mcp", registry=self._registry)
        histogram = partial(Histogram, namespace="callers_mcp", registry=self._registry, buckets=_BUCKETS)
        self._lookups = counter("look_ups", "Finished look-ups.", ["outcome"])
        self._rejections = counter("authentication_failures", "Requests refused before a tool ran.", ["reason"])
        for outcome in ("found", "cancelled", *sorted(_OUTCOMES)):
            self._lookups.labels(outcome)  # exists from the start, as 0
        for reason in REASONS:
            self._rejections.labels(reason)
        self._seconds = histogram("look_up_duration_seconds", "How long the callers waited.")
        self._api_seconds = histogram("api_request_duration_seconds", "How long each request to the API took.")
        self._in_flight = Gauge("callers_mcp_look_ups_in_flight", "Look-ups in progress.", registry=self._registry)
        self._retries = counter("api_retries", "Requests to the API after a look-up's first one.")
        self._shared = counter("shared_look_ups", "Look-ups that shared another one's request.")
        self._over_capacity = counter("turned_away_calls", "Calls above the limit of concurrent calls.")
        self._key_fetch_failures = counter("key_fetch_failures", "Failed fetches of the OAuth issuer's keys.")

    def on_lookup_started(self) -> None:
        """Count a started look-up."""
        self._in_flight.inc()

    def on_lookup_finished(self, event: LookupEvent) -> None:
        """Count a finished look-up."""
        self._in_flight.dec()
        self._lookups.labels(event.outcome).inc()
        self._seconds.observe(event.seconds)
        if event.shared:
            self._shared.inc()  # its attempts are counted with the look-up that made the request
        elif event.attempts > 1:
            self._retries.inc(event.attempts - 1)
        self._log.on_lookup_finished(event)

    def on_api_request(self, seconds: float) -> None:
        """Count a finished request to the API."""
        self._api_seconds.observe(seconds)

    def count_rejection(self, reason: str) -> None:
        """Count a request that was refused before a tool ran."""
        self._rejections.labels(reason).inc()

    def count_over_capacity(self) -> None:
        """Count a call above the limit of concurrent calls."""
        self._over_capacity.inc()

    def count_key_fetch_failure(self) -> None:
        """Count a failed fetch of the OAuth issuer's keys."""
        self._key_fetch_failures.inc()

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics on a separate port until the process ends, and return the port; port 0 means a free one.

        They have a thread of their own, so that they can be read while the server is busy.

        Raises:
            SettingsError: The address can't be used.
        """
        listener = listen(host, port, variable("metrics"))
        app = Starlette(routes=[Route("/metrics", self._respond)])
        config = server_config(app, lifespan="off", limit_concurrency=_MAX_CONNECTIONS)
        serving = uvicorn.Server(config).serve([listener])
        Thread(target=asyncio.run, args=(serving,), name="metrics", daemon=True).start()
        port = listener.getsockname()[1]
        logger.info("metrics are on http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
        return port

    async def _respond(self, request: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
