"""Drives LlamaIndex's MCP client, which opens a session for each request."""

import asyncio
from typing import Any

from harness import ID, NAME, RETRIED, SERVER, STDIO, checks_of, expect, run
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main() -> None:
    """Run the checks."""
    if STDIO:
        client = BasicMCPClient(SERVER["command"], args=SERVER["args"], env=SERVER["env"], timeout=60)
    else:
        client = BasicMCPClient(SERVER["url"], headers=SERVER["headers"], timeout=60)
    known = {tool.metadata.name: tool for tool in await McpToolSpec(client).to_tool_list_async()}

    async def call(campaign_id: str, **options: Any) -> Any:
        return await client.call_tool("get_campaign", {"campaign_id": campaign_id}, **options)

    async def tools() -> None:
        expect("get_campaign", list(known))

    async def calls() -> None:
        expect(NAME, (await known["get_campaign"].acall(campaign_id=ID)).content)

    async def progress() -> None:
        seen = []

        async def note(*progress: object) -> None:
            seen.append(progress)

        await call(RETRIED, progress_callback=note)
        assert seen, "no progress"

    await run(checks_of(client, call) | {"tools": tools, "calls": calls, "progress": progress})


asyncio.run(main())
