"""Drives the MCP servers of the OpenAI Agents SDK."""

import asyncio
from typing import Any

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from harness import SERVER, STDIO, checks_of, expect, run


async def main() -> None:
    """Run the checks."""
    kind: Any = MCPServerStdio if STDIO else MCPServerStreamableHttp
    async with kind(SERVER, client_session_timeout_seconds=60) as server:

        async def call(campaign_id: str) -> Any:
            return await server.call_tool("get_campaign", {"campaign_id": campaign_id})

        async def tools() -> None:
            expect("get_campaign", [tool.name for tool in await server.list_tools()])

        await run(checks_of(server, call) | {"tools": tools})


asyncio.run(main())
