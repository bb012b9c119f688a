"""Look-ups on behalf of one principal, with the API client or over MCP, to test which organization it may see."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mcp import Client

from callers_mcp import CallersClient
from callers_mcp.access import OPERATOR, AllowedOrganizations, Principal
from callers_mcp.api.errors import CallersError
from tests.support.constants import ID
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, hosted, told
from tests.support.stand_in_api import settings_for


@dataclass(frozen=True)
class Outcome:
    """The outcome of a look-up: ``found``, or the kind, message and details of the error."""

    kind: str
    text: str = ""
    details: dict[str, Any] = field(default_factory=dict)


Door = Callable[..., Awaitable[Outcome]]


def someone(*places: str) -> Principal:
    return Principal("token:someone", AllowedOrganizations.parse(places))


async def by_client(server: FaultServer, caller: Principal, named: str | None = None, **settings: Any) -> Outcome:
    async with CallersClient(settings_for(server, **{"organization_id": None} | settings)) as client:
        try:
            await client.on_behalf_of(caller).get_campaign(ID, sub_organization_id=named)
        except CallersError as error:
            return Outcome(error.kind, error.message, error.details())
    return Outcome("found")


async def by_mcp(server: FaultServer, caller: Principal, named: str | None = None, **settings: Any) -> Outcome:
    async with Client(hosted(settings_for(server, **{"organization_id": None} | settings), caller)) as client:
        result = await client.call_tool("get_campaign", {"campaign_id": ID, "sub_organization_id": named})
    if not result.is_error:
        return Outcome("found")
    details, text = failure(result), told(result)
    if caller is not OPERATOR:
        request_id = details.pop("request_id")
        text, _, shown = text.rpartition(" Request id: ")
        assert shown == f"{request_id}."
        assert re.fullmatch("[0-9a-f]{16}", request_id)
    return Outcome(details["kind"], text, details)


def places_asked(server: FaultServer) -> list[list[str]]:
    return [request.values("x-sub-organization-id") for request in server.requests]
