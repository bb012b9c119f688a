"""Behaviours of a ``FaultServer`` for a Callers API that works, immediately or after the test releases it."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio

from callers_mcp import CallersClient, Settings
from callers_mcp.api.client import RateLimitHook
from callers_mcp.api.events import Observer
from callers_mcp.sandbox import Sandbox
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, KEY, MAIN_ID, PATIENCE
from tests.support.fault_server import Behaviour, Exchange, FaultServer, Request

KNOWN = fault.answer(campaign())
"""Answer every request with the healthy campaign."""


def settings_for(server: FaultServer | Sandbox, **settings: Any) -> Settings:
    """Return settings for ``server``: one attempt, a long timeout, and lists of the main organization."""
    given: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "organization_id": MAIN_ID}
    return Settings(**given | {"max_attempts": 1, "timeout": 600} | settings)


@asynccontextmanager
async def api_client(
    server: FaultServer, observer: Observer | None = None, admit: RateLimitHook | None = None, **settings: Any
) -> AsyncIterator[CallersClient]:
    """Open a client for ``server``, and fail if the test hangs."""
    with anyio.fail_after(PATIENCE):
        async with CallersClient(settings_for(server, **settings), observer=observer, rate_limit_hook=admit) as client:
            yield client


def environment_of(server: FaultServer, **settings: str) -> dict[str, str]:
    """Return the variables of a server process that uses ``server`` as its API, and logs only warnings."""
    given = {"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": KEY, "CALLERS_LOG_LEVEL": "WARNING"}
    return given | settings


def is_list(request: Request) -> bool:
    """Return whether a request is for a list, not for a single campaign."""
    return urlsplit(request.target).path == "/campaigns"


def query_of(request: Request) -> dict[str, list[str]]:
    """Return the decoded query of a request for a list."""
    return parse_qs(urlsplit(request.target).query, keep_blank_values=True, strict_parsing=True)


def either(lists: Behaviour, single: Behaviour = KNOWN) -> Behaviour:
    """Use ``lists`` for a request for a list, and ``single`` for a single campaign."""
    return lambda exchange: (lists if is_list(exchange.request) else single)(exchange)


def holding(*campaigns: Json, **sub_organizations: Sequence[Json]) -> Behaviour:
    """Serve ``campaigns`` from the main organization, and others from sub-organizations, by their ids."""
    held: dict[str, Sequence[Json]] = {"": campaigns, **sub_organizations}

    def answer(exchange: Exchange) -> None:
        request = exchange.request
        organization = (request.values("x-sub-organization-id") or [""])[0]
        there = held.get(organization, ())
        if is_list(request):
            asked = query_of(request)["organizationId"]
            behaviour = fault.answer(there if asked == [organization or CAMPAIGN_OWNER_ID] else [])
        else:
            wanted = urlsplit(request.target).path.rpartition("/")[2].lower()
            found = [one for one in there if str(one.get("id")).lower() == wanted]
            behaviour = fault.answer(found[0]) if found else fault.error(404, "nothing here")
        behaviour(exchange)

    return answer


class Held:
    """A behaviour that starts only after ``release``, unless the client disconnects first.

    Args:
        behaviour: The behaviour after the release.
        only: Hold only requests with this text in their target; others are answered immediately.
    """

    def __init__(self, behaviour: Behaviour = KNOWN, only: str = "") -> None:
        self._behaviour, self._only = behaviour, only
        self._released = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        if self._only in exchange.request.target:
            while not self._released.wait(fault.TICK):
                if exchange.peer_left() or exchange.server.stopping.is_set():
                    return
        self._behaviour(exchange)

    def release(self) -> None:
        self._released.set()
