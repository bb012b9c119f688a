"""Drives FastMCP's client, or with ``pydantic-ai`` as the second argument PydanticAI's toolset, which uses it."""

import asyncio
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from harness import ID, NAME, PROMPT, RETRIED, SERVER, STDIO, checks_of, expect, run
from mcp_types import PromptReference

PYDANTIC_AI = sys.argv[2:] == ["pydantic-ai"]


async def main() -> None:
    """Run the checks."""
    seen = []

    async def note(*progress: object) -> None:
        seen.append(progress)

    if STDIO:
        transport: Any = StdioTransport(SERVER["command"], SERVER["args"], SERVER["env"], keep_alive=False)
    else:
        transport = StreamableHttpTransport(SERVER["url"], headers=SERVER["headers"])
    if PYDANTIC_AI:
        from pydantic_ai.mcp import MCPToolset

        opened: Any = MCPToolset(transport, progress_handler=note, init_timeout=60)
    else:
        opened = Client(transport, progress_handler=note, init_timeout=60)
    async with opened as client:

        async def call(campaign_id: str) -> Any:
            name = "direct_call_tool" if PYDANTIC_AI else "call_tool"
            return await getattr(client, name)("get_campaign", {"campaign_id": campaign_id})

        async def tools() -> None:
            expect("get_campaign", [tool.name for tool in await client.list_tools()])

        async def calls() -> None:
            result = await call(ID)
            expect(NAME, result if PYDANTIC_AI else result.content)

        async def structured() -> None:
            result = await call(ID)
            expect(NAME, (result if PYDANTIC_AI else result.structured_content)["summary"])

        async def completion() -> None:
            completed = await client.complete(PromptReference(name=PROMPT), {"name": "campaign", "value": NAME[:4]})
            expect(ID, completed.values)

        async def progress() -> None:
            await call(RETRIED)
            assert seen, "no progress"

        mine = {"tools": tools, "calls": calls, "structured": structured, "progress": progress}
        mine |= {} if PYDANTIC_AI else {"completion": completion}
        await run(checks_of(client, call) | mine)


asyncio.run(main())
