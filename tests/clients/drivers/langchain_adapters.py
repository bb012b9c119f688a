"""Drives LangChain's MCP adapters."""

import asyncio
from typing import Any

from harness import ID, NAME, PROMPT, PROMPT_ARGUMENTS, RETRIED, SERVER, STDIO, URI, checks_of, expect, run
from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient


async def main() -> None:
    """Run the checks."""
    seen = []

    async def note(*progress: object) -> None:
        seen.append(progress)

    names = ("command", "args", "env") if STDIO else ("url", "headers")
    server: Any = {name: SERVER[name] for name in names} | {"transport": "stdio" if STDIO else "http"}
    client = MultiServerMCPClient({"callers": server}, callbacks=Callbacks(on_progress=note))
    known = {tool.name: tool for tool in await client.get_tools()}

    async def call(campaign_id: str) -> Any:
        arguments = {"campaign_id": campaign_id}
        return await known["get_campaign"].ainvoke({"type": "tool_call", "name": "x", "args": arguments, "id": "1"})

    async def tools() -> None:
        expect("get_campaign", list(known))

    async def structured() -> None:
        expect(NAME, (await call(ID)).artifact["structured_content"]["summary"])

    async def prompts() -> None:
        expect(NAME, await client.get_prompt("callers", PROMPT, arguments=PROMPT_ARGUMENTS))

    async def resources() -> None:
        expect(NAME, (await client.get_resources("callers", uris=URI))[0].as_string())

    async def progress() -> None:
        await call(RETRIED)
        assert seen, "no progress"

    mine = {"tools": tools, "structured": structured, "prompts": prompts, "resources": resources, "progress": progress}
    await run(checks_of(client, call) | mine)


asyncio.run(main())
