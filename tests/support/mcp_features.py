"""Resources, prompts and completion with the SDK's client, and an API over a real socket or the sandbox."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

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

from callers_mcp.access import Principal
from callers_mcp.api.client import RateLimitHook
from callers_mcp.sandbox import ORGANIZATION_ID, Sandbox
from callers_mcp.server.resources import TEMPLATES
from tests.support import lookups
from tests.support.constants import CAMPAIGN_OWNER_ID
from tests.support.fault_server import FaultServer

MODES: Sequence[ConnectMode] = ("auto", "legacy")
"""The protocol version without a handshake, and the latest one with a handshake."""

REVIEW = PromptReference(name="review_campaign")
COMPARE = PromptReference(name="compare_campaigns")
CAMPAIGN, IN_SUB_ORGANIZATION = (ResourceTemplateReference(uri=template.uri_template) for template in TEMPLATES)


def numbered(number: int) -> str:
    """Return an id that is different for each number."""
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
    """Connect as ``lookups.connect`` does, to a server that can list the main organization's campaigns."""
    main_id = ORGANIZATION_ID if isinstance(server, Sandbox) else CAMPAIGN_OWNER_ID
    async with lookups.connect(
        server, mode, caller=caller, admit=admit, **{"organization_id": main_id} | given
    ) as connected:
        yield connected


async def read(client: Client, uri: str) -> TextResourceContents:
    """Read a resource, which must be one text with the requested URI."""
    result: ReadResourceResult = await client.read_resource(uri)
    (contents,) = result.contents
    assert isinstance(contents, TextResourceContents)
    assert contents.uri == uri
    return contents


async def refused(asked: Awaitable[object]) -> ErrorData:
    """Await a request that must fail, and return its error."""
    try:
        answer = await asked
    except MCPError as caught:
        return caught.error
    raise AssertionError(f"it was answered: {answer}")


def kind(error: ErrorData) -> str:
    """Return the kind of an error."""
    found: str = error.data["callers-mcp/error"]["kind"]
    return found


def texts(result: GetPromptResult) -> list[str]:
    """Return a prompt's texts in order, without embedded resources."""
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
    """Return the URI of the campaign in a review; the list is empty if the prompt asks the user which one."""
    return [resource.uri for resource in embedded(await review(client, campaign, **others))]


async def offered(
    client: Client,
    typed: str,
    ref: PromptReference | ResourceTemplateReference = REVIEW,
    argument: str | None = None,
    **others: str,
) -> list[str]:
    """Return the values that completion offers after ``typed``."""
    name = argument or ("campaign" if ref == REVIEW else "campaign_id")
    completed = await client.complete(ref, {"name": name, "value": typed}, others or None)
    return completed.completion.values
