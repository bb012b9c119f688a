"""Drives the MCP servers of the OpenAI Agents SDK."""

import asyncio
from typing import Any

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from harness import HELD, ID, NAME, PROMPT, PROMPT_ARGUMENTS, SERVER, STDIO, URI, cancelled, expect, run


async def main() -> None:
    """Run the checks."""
    kind: Any = MCPServerStdio if STDIO else MCPServerStreamableHttp
    async with kind(SERVER, client_session_timeout_seconds=60) as server:

        async def call(campaign_id: str) -> Any:
            return await server.call_tool("get_campaign", {"campaign_id": campaign_id})

        async def tools() -> None:
            expect("get_campaign", [tool.name for tool in await server.list_tools()])

        async def calls() -> None:
            expect(NAME, (await call(ID)).content)

        async def structured() -> None:
            expect(NAME, (await call(ID)).structured_content["summary"])

        async def prompts() -> None:
            expect(PROMPT, await server.list_prompts())
            expect(NAME, await server.get_prompt(PROMPT, PROMPT_ARGUMENTS))

        async def resources() -> None:
            expect(NAME, await server.read_resource(URI))

        async def cancellation() -> None:
            await cancelled(call(HELD), lambda: call(ID))

        await run(
            tools=tools,
            calls=calls,
            structured=structured,
            prompts=prompts,
            resources=resources,
            completion=None,
            progress=None,
            cancellation=cancellation,
        )


asyncio.run(main())
