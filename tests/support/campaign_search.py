"""Searches with ``find_campaigns``: an API that lists a few campaigns, calls of the tool, and its pages.

Use it for tests of the results of the tool; ``campaign_lists`` is for tests of the lists that it uses.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp_types import CallToolResult, TextContent

from callers_mcp import Settings, create_server
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign, inbound, without
from tests.support.constants import KEY, MAIN_ID
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, told
from tests.support.strategies import body
from tests.support.text_grammar import is_our_page

FIND = "find_campaigns"
MOST_PAGES = 101  # more than any list here has


def number(of: int) -> str:
    """Return an id."""
    return f"665f1c2a{of:016x}"


RENEWALS, PARTNERS = "65bb0011223344556677889a", "65bb0011223344556677889b"
FEW = [
    campaign(id=number(1), name="Spring renewals"),
    campaign(id=number(2), name="Autumn renewals", active=False, completedAt="2026-11-03T09:30:00.000Z"),
    inbound(id=number(3), name="Support line", pauseNewChats=True, campaignGroupId=None, campaignGroupName=None),
    inbound(id=number(4), name="Köln Rückruf", campaignGroupId=PARTNERS, campaignGroupName="Partners, north"),
    campaign(id=number(5), name="Insecure", webhooks=["http://crm.example.com"], campaignGroupName="Old renewals"),
    campaign(id=number(6), name="Stopped", active=False),
    campaign(id=number(7), name="Waiting", active=False, firstInteractionAt=None),
    without("active", "isIncoming", source=campaign(id=number(8), name="Unsaid")),
]


def serve(api: FaultServer, listed: Sequence[Any]) -> None:
    """Answer every request with this list, and clear the recorded requests."""
    api.script(fault.answer(body(list(listed))))  # type: ignore[arg-type]


def settings_for(api: FaultServer, **given: Any) -> Settings:
    return Settings(**{"api_key": KEY, "base_url": api.base_url, "organization_id": MAIN_ID} | given)


@asynccontextmanager
async def connected(api: FaultServer, **given: Any) -> AsyncIterator[Client]:
    """Connect a client, in memory, to a server that lists the campaigns of ``api``."""
    async with Client(create_server(settings_for(api, **{"max_attempts": 1, "timeout": 600} | given))) as client:
        yield client


def page_of(result: CallToolResult) -> Json:
    """Return the structured page, and check the text of the same result."""
    assert not result.is_error, result.content
    (block,) = result.content
    assert isinstance(block, TextContent)
    page: Json = result.structured_content or {}
    assert is_our_page(block.text, len(page["campaigns"])), block.text
    assert (page["next_cursor"] or "\n") in block.text + "\n"
    return page


async def find(client: Client, **arguments: Any) -> Json:
    return page_of(await client.call_tool(FIND, arguments))


async def refusal(client: Client, **arguments: Any) -> str:
    """Return the message for a call with wrong arguments."""
    result = await client.call_tool(FIND, arguments)
    assert failure(result)["kind"] == "invalid_arguments", result.content
    return told(result)


def found(page: Json) -> list[str]:
    """Return the names on a page."""
    return [row["name"] for row in page["campaigns"]]


async def all_pages(client: Client, cursor: str | None = None, **arguments: Any) -> AsyncIterator[Json]:
    """Yield all pages, starting at ``cursor``."""
    page: Json = {"next_cursor": cursor}
    for _ in range(MOST_PAGES):
        page = await find(client, cursor=page["next_cursor"], **arguments)
        yield page
        if not page["next_cursor"]:
            return
    raise AssertionError("the pages have no end")
