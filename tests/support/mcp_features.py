"""Resources, prompts and completion with the SDK's client, and an API over a real socket or the sandbox."""

import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from mcp import Client
from mcp.client.client import ConnectMode
from mcp.shared.exceptions import MCPError
from mcp_types import (
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


def text_of(result: GetPromptResult) -> str:
    """Return the text of a prompt, which must be one message of the user."""
    (message,) = result.messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


_CAMPAIGN = re.compile(
    r"\n\n((?:It was asked for as [^\n]*\n)?Its summary:\n.*?)\n\nIts resource:\n(callers://\S+)\n\n"
    r"Its raw JSON:\n(`{3,})json\n(.*?)\n\3(?=\n|$)",
    re.DOTALL,
)


class Embedded(NamedTuple):
    """A campaign in a prompt: its summary with what is said before it, its URI, and its raw JSON."""

    summary: str
    uri: str
    text: str


def embedded(result: GetPromptResult) -> list[Embedded]:
    """Return the campaigns that a prompt shows; nothing may follow them."""
    text = text_of(result)
    found = list(_CAMPAIGN.finditer(text))
    assert not found or found[-1].end() == len(text)
    return [Embedded(each[1], each[2], each[4]) for each in found]


def before(result: GetPromptResult) -> str:
    """Return what a prompt says before it shows campaigns."""
    return _CAMPAIGN.split(text_of(result))[0]


async def review(client: Client, campaign: str, **others: str) -> GetPromptResult:
    return await client.get_prompt("review_campaign", {"campaign": campaign, **others})


async def meant(client: Client, campaign: str, **others: str) -> list[str]:
    """Return the URI of the campaign in a review; the list is empty if the prompt asks the user which one."""
    return [shown.uri for shown in embedded(await review(client, campaign, **others))]


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
