"""A plain client; to put a real model in, hand it ``await client.list_tools()`` and call what it picks."""

from os import environ
from sys import argv, executable

import anyio
from mcp import Client, StdioServerParameters, stdio_client


async def main() -> None:
    """Run ``python plain_client.py --sandbox``, or without it and with CALLERS_API_KEY and CALLERS_ORGANIZATION_ID."""
    server = StdioServerParameters(command=executable, args=["-m", "callers_mcp", *argv[1:]], env=dict(environ))
    async with Client(stdio_client(server)) as client:
        found = await client.call_tool("find_campaigns", {"query": "sprng renewal"})
        first = (found.structured_content or {"campaigns": [{"id": "none"}]})["campaigns"][0]
        answer = await client.call_tool("get_campaign", {"campaign_id": first["id"]})
        print(first, answer.structured_content or answer.content)  # the content of an error says why


anyio.run(main)
