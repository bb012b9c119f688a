"""Drives the client of the MCP SDK for Python, version 2."""

import asyncio
from typing import Any

import httpx2
from harness import ID, NAME, PROMPT, RETRIED, SERVER, STDIO, checks_of, expect, run
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import PromptReference


async def main() -> None:
    """Run the checks."""
    if STDIO:
        transport: Any = stdio_client(
            StdioServerParameters(command=SERVER["command"], args=SERVER["args"], env=SERVER["env"])
        )
    else:
        http = httpx2.AsyncClient(headers=SERVER["headers"], timeout=60)
        transport = streamable_http_client(SERVER["url"], http_client=http)
    async with Client(transport) as client:

        async def call(campaign_id: str, **options: Any) -> Any:
            return await client.call_tool("get_campaign", {"campaign_id": campaign_id}, **options)

        async def tools() -> None:
            expect("get_campaign", [tool.name for tool in (await client.list_tools()).tools])

        async def completion() -> None:
            completed = await client.complete(PromptReference(name=PROMPT), {"name": "campaign", "value": NAME[:4]})
            expect(ID, completed.completion.values)

        async def progress() -> None:
            seen = []

            async def note(*progress: object) -> None:
                seen.append(progress)

            await call(RETRIED, progress_callback=note)
            assert seen, "no progress"

        await run(checks_of(client, call) | {"tools": tools, "completion": completion, "progress": progress})


asyncio.run(main())
