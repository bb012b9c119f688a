"""The connections to the API, one pool for all callers."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Literal

import httpx2

from callers_mcp.api.connection import HEADERS, http_clients, proxy_name, transport_error
from callers_mcp.api.errors import UnexpectedResponse
from callers_mcp.api.observer import Observer
from callers_mcp.api.responses import Answer
from callers_mcp.settings import Settings, variable

logger = logging.getLogger(__name__)


_SHARE = 10
"""Connections of one client: httpx2 probes each that is idle before each request, which at 100 costs a millisecond."""


class Pool:
    """Sends requests to the API; the connections are made when they are needed."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        most = settings.max_connections
        self._shares = [min(_SHARE, most - taken) for taken in range(0, most, _SHARE)]
        self._busy = [0] * len(self._shares)
        self._clients: list[httpx2.AsyncClient] = []
        self._create: Callable[[int], httpx2.AsyncClient] | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, []
        for client in clients:
            await client.aclose()

    async def get(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        limited_by: Literal["max_body_bytes", "list_max_body_bytes"] = "max_body_bytes",
    ) -> Answer:
        """Send one request and read its answer, within the limit of bytes that a setting gives.

        Raises:
            CallersError: There is no answer, or it is too large.
        """
        at = self._free()
        self._busy[at] += 1
        started = time.perf_counter()
        try:
            return await self._get(self._client(at), path, headers, limited_by)
        finally:
            self._busy[at] -= 1
            self._observer.asked(time.perf_counter() - started)

    def _free(self) -> int:
        """Return the first client with a free connection, so that few are kept open, or the one with least to do."""
        for at, (busy, share) in enumerate(zip(self._busy, self._shares, strict=True)):
            if busy < share:
                return at
        return min(range(len(self._busy)), key=lambda at: self._busy[at] / self._shares[at])

    def _client(self, at: int) -> httpx2.AsyncClient:
        if self._create is None:
            self._create = http_clients(self._settings)
        while len(self._clients) <= at:
            self._clients.append(self._create(self._shares[len(self._clients)]))
        return self._clients[at]

    async def _get(self, client: httpx2.AsyncClient, path: str, headers: Mapping[str, str], limited_by: str) -> Answer:
        limit: int = getattr(self._settings, limited_by)
        chunks, size = [], 0
        request = httpx2.Request("GET", self._settings.base_url + path, headers={**HEADERS, **headers})
        try:
            async with aclosing(await client.send(request, stream=True)) as response:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    if size > limit:
                        if not response.is_success:
                            break  # the status says enough
                        raise UnexpectedResponse(
                            f"The API's answer is larger than {limit} bytes, so it was not read. The operator may "
                            f"raise {variable(limited_by)}.",
                            http_status=response.status_code,
                        )
                    chunks.append(chunk)
                return Answer(response.status_code, response.headers, b"".join(chunks))
        except httpx2.RequestError as error:
            logger.debug("request to %s failed: %s", path, type(error).__name__)
            raise transport_error(error, proxy_name(self._settings)) from None
