"""Look-ups through the public door: the SDK's client, in memory, against the real server and a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from mcp import Client
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, TextContent

from callers_mcp import CallersClient, Settings, create_server
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer


@asynccontextmanager
async def connect(base_url: str, **settings: Any) -> AsyncIterator[Client]:
    """Connect a client to a server that tries each look-up once, with a planted key, unless ``settings`` differ."""
    given = {"api_key": KEY, "base_url": base_url, "max_attempts": 1, **settings}
    async with Client(_server(**given)) as client:
        yield client


@cache
def _server(**settings: Any) -> Server[CallersClient]:
    return create_server(Settings(**settings))  # 50 ms, and it keeps nothing from one client to the next


async def call(client: Client, **arguments: Any) -> CallToolResult:
    return await client.call_tool("get_campaign", {"campaign_id": ID} | arguments)


async def look_up(server: FaultServer | str, place: str | None = None, **settings: Any) -> CallToolResult:
    """Look one campaign up at a server or a base URL."""
    base_url = server if isinstance(server, str) else server.base_url
    async with connect(base_url, **settings) as client:
        return await call(client, **({} if place is None else {"sub_organization_id": place}))


def told(result: CallToolResult) -> str:
    """Return what the model reads of a failed look-up."""
    assert result.is_error, result.content
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def failure(result: CallToolResult) -> dict[str, Any]:
    """Return what machines read of a failed look-up."""
    assert result.is_error, result.content
    assert result.meta
    details: dict[str, Any] = result.meta["callers-mcp/error"]
    return details


def found(result: CallToolResult) -> dict[str, Any]:
    """Return the raw campaign of a look-up that succeeded."""
    assert not result.is_error, result.content
    assert result.structured_content
    raw: dict[str, Any] = result.structured_content["raw"]
    return raw
