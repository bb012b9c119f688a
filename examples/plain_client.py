"""A plain client. To use a real model, give it ``await client.list_tools()`` and call the tools that it chooses."""

from os import environ
from sys import argv, executable

import anyio
from mcp import Client, StdioServerParameters, stdio_client


async def main() -> None:
    """Run ``plain_client.py --sandbox``, or set CALLERS_API_KEY and CALLERS_ORGANIZATION_ID and omit --sandbox."""
    server = StdioServerParameters(command=executable, args=["-P", "-m", "callers_mcp", *argv[1:]], env=dict(environ))
    async with Client(stdio_client(server)) as client:
        found = await client.call_tool("find_campaigns", {"query": "sprng renewal"})
        first = (found.structured_content or {"campaigns": [{"id": "none"}]})["campaigns"][0]
        answer = await client.call_tool("get_campaign", {"campaign_id": first["id"]})
        print(first, answer.structured_content or answer.content)  # the content of an error gives the reason


anyio.run(main)
