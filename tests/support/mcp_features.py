"""Resources, prompts and completion through the SDK's client, against an API that holds what a test gives it."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp import Client
from mcp.client.client import ConnectMode
from mcp.shared.exceptions import MCPError
from mcp_types import (
    EmbeddedResource,
    ErrorData,
    GetPromptResult,
    PromptReference,
    ReadResourceResult,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from callers_mcp import CallersClient, Settings, create_server
from callers_mcp.access import Principal
from callers_mcp.api.client import RateLimitHook
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from callers_mcp.server.resources import TEMPLATES
from tests.support import fault_server as fault
from tests.support.campaigns import Json
from tests.support.constants import CAMPAIGN_OWNER_ID, KEY
from tests.support.fault_server import Behaviour, Exchange, FaultServer

MODES: Sequence[ConnectMode] = ("auto", "legacy")
"""The stateless version, and the latest that begins with a handshake."""

REVIEW = PromptReference(name="review_campaign")
COMPARE = PromptReference(name="compare_campaigns")
CAMPAIGN, IN_SUB_ORGANIZATION = (ResourceTemplateReference(uri=template.uri_template) for template in TEMPLATES)


def holding(*campaigns: Json, **places: Sequence[Json]) -> Behaviour:
    """Be an API that has ``campaigns`` in the main organization, and others in sub-organizations, by their ids."""
    held: dict[str, Sequence[Json]] = {"": campaigns, **places}

    def answer(exchange: Exchange) -> None:
        place = (exchange.request.values("x-sub-organization-id") or [""])[0]
        url = urlsplit(exchange.request.target)
        if url.path == "/campaigns":
            asked = parse_qs(url.query)["organizationId"]
            behaviour = fault.answer(held.get(place, ()) if asked == [place or CAMPAIGN_OWNER_ID] else [])
        else:
            wanted = url.path.rpartition("/")[2].lower()
            found = [one for one in held.get(place, ()) if str(one.get("id")).lower() == wanted]
            behaviour = fault.answer(found[0]) if found else fault.error(404, "nothing here")
        behaviour(exchange)

    return answer


def numbered(number: int) -> str:
    """Return an id, of its own for each number."""
    return f"{0x665F0000 + number:08x}b1e4a9d0c7f3b812"


@asynccontextmanager
async def connect(
    server: FaultServer | Sandbox,
    mode: ConnectMode = "auto",
    *,
    caller: Principal | None = None,
    admit: RateLimitHook | None = None,
    **given: Any,
) -> AsyncIterator[Client]:
    """Connect a client to a server of its own: with ``caller`` a hosted one, on behalf of that one."""
    key, main_id = (API_KEY, ORGANIZATION_ID) if isinstance(server, Sandbox) else (KEY, CAMPAIGN_OWNER_ID)
    usual: dict[str, Any] = {"api_key": key, "base_url": server.base_url, "organization_id": main_id, "max_attempts": 1}
    settings = Settings(**usual | given)
    client = CallersClient(settings, rate_limit_hook=admit)
    made = create_server(settings, client=client, get_principal=(lambda ctx: caller) if caller else None)
    async with Client(made, mode=mode) as connected:
        yield connected


async def read(client: Client, uri: str) -> TextResourceContents:
    """Read a resource, which is one text under the URI that was asked for."""
    result: ReadResourceResult = await client.read_resource(uri)
    (contents,) = result.contents
    assert isinstance(contents, TextResourceContents)
    assert contents.uri == uri
    return contents


async def refused(asked: Awaitable[object]) -> ErrorData:
    """Return the error with which a request was answered."""
    try:
        answer = await asked
    except MCPError as caught:
        return caught.error
    raise AssertionError(f"it was answered: {answer}")


def kind(error: ErrorData) -> str:
    """Return what machines read of an error."""
    told: str = error.data["callers-mcp/error"]["kind"]
    return told


def texts(result: GetPromptResult) -> list[str]:
    """Return a prompt's texts in their order, without what is embedded."""
    return [message.content.text for message in result.messages if isinstance(message.content, TextContent)]


def embedded(result: GetPromptResult) -> list[TextResourceContents]:
    """Return the resources that a prompt embeds."""
    resources = [
        message.content.resource for message in result.messages if isinstance(message.content, EmbeddedResource)
    ]
    assert all(message.role == "user" for message in result.messages)
    return [resource for resource in resources if isinstance(resource, TextResourceContents)]


async def review(client: Client, campaign: str, **others: str) -> GetPromptResult:
    return await client.get_prompt("review_campaign", {"campaign": campaign, **others})


async def meant(client: Client, campaign: str, **others: str) -> list[str]:
    """Return the URIs of the campaigns that a review is of: one, or none where it asks which."""
    return [resource.uri for resource in embedded(await review(client, campaign, **others))]


async def offered(
    client: Client,
    typed: str,
    ref: PromptReference | ResourceTemplateReference = REVIEW,
    argument: str | None = None,
    **others: str,
) -> list[str]:
    """Return what is offered to somebody who has typed so much of a campaign."""
    name = argument or ("campaign" if ref == REVIEW else "campaign_id")
    completed = await client.complete(ref, {"name": name, "value": typed}, others or None)
    return completed.completion.values
