"""Look-ups with the SDK's client: the real server in memory, and an API over a real socket.

Use it for every test of a tool's result or error.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from mcp import Client
from mcp.client.client import ConnectMode
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, TextContent

from callers_mcp import CallersClient, Settings, create_server
from callers_mcp.access import Principal
from callers_mcp.api.client import RateLimitHook
from callers_mcp.sandbox import API_KEY, Sandbox
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer


@asynccontextmanager
async def connect(
    server: FaultServer | Sandbox | str,
    mode: ConnectMode = "auto",
    *,
    caller: Principal | None = None,
    admit: RateLimitHook | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """Connect a client to a server with a test key, which tries each look-up only once.

    Args:
        server: The API: a server, or a base URL.
        mode: How the client chooses the protocol version.
        caller: Connect to a hosted server, on behalf of this caller.
        admit: The rate limit of the server.
        settings: Other settings of the server.
    """
    base_url = server if isinstance(server, str) else server.base_url
    key = API_KEY if isinstance(server, Sandbox) else KEY
    given = {"api_key": key, "base_url": base_url, "max_attempts": 1, "timeout": 600, **settings}
    connected = hosted(Settings(**given), caller, admit) if caller or admit else _server(**given)
    async with Client(connected, mode=mode) as client:
        yield client


@cache
def _server(**settings: Any) -> Server[CallersClient]:
    return create_server(Settings(**settings))  # takes 50 ms, and has no state that one client leaves to the next


def hosted(settings: Settings, caller: Principal | None, admit: RateLimitHook | None = None) -> Server[CallersClient]:
    """Return a server for one client; all its calls are on behalf of ``caller``."""
    client = CallersClient(settings, rate_limit_hook=admit)
    return create_server(settings, client=client, get_principal=(lambda ctx: caller) if caller else None)


async def call(client: Client, **arguments: Any) -> CallToolResult:
    return await client.call_tool("get_campaign", {"campaign_id": ID} | arguments)


async def look_up(server: FaultServer | str, place: str | None = None, **settings: Any) -> CallToolResult:
    """Look up the healthy campaign at a server or a base URL."""
    async with connect(server, **settings) as client:
        return await call(client, **({} if place is None else {"sub_organization_id": place}))


def told(result: CallToolResult) -> str:
    """Return the text of a failed look-up, which the model reads."""
    assert result.is_error, result.content
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def failure(result: CallToolResult) -> dict[str, Any]:
    """Return the error details of a failed look-up, which programs read."""
    assert result.is_error, result.content
    assert result.meta
    details: dict[str, Any] = result.meta["callers-mcp/error"]
    return details


def found(result: CallToolResult) -> dict[str, Any]:
    """Return the raw campaign of a successful look-up."""
    assert not result.is_error, result.content
    assert result.structured_content
    raw: dict[str, Any] = result.structured_content["raw"]
    return raw
