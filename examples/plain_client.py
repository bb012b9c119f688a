"""A plain client. To use a real model, give it ``await client.list_tools()`` and call the tools that it chooses."""

import os
import sys

import anyio
from mcp import Client, StdioServerParameters, stdio_client


async def main() -> None:
    """Run ``plain_client.py --sandbox``, or set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID and omit --sandbox."""
    environment = {"CALLERS_LOG_LEVEL": "ERROR"} | os.environ
    server = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "callers_mcp", *sys.argv[1:]], env=environment
    )
    async with Client(stdio_client(server)) as client:
        if "find_campaigns" not in [tool.name for tool in (await client.list_tools()).tools]:
            raise LookupError("set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID, or use --sandbox")
        found = await client.call_tool("find_campaigns", {"query": "sprng renewal"})
        if not found.structured_content or not found.structured_content["matched"]:
            raise LookupError(*(block.text for block in found.content[:1] if block.type == "text"))
        first = found.structured_content["campaigns"][0]
        answer = await client.call_tool("get_campaign", {"campaign_id": first["id"]})
        print(first, answer.structured_content or answer.content)


try:
    anyio.run(main)
except Exception as error:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the cause
    sys.exit(f"No campaign was looked up: {' '.join(str(error).split())}")
