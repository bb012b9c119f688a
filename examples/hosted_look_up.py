"""Look up one campaign on a hosted server.

TOKEN=... python examples/hosted_look_up.py URL CAMPAIGN_ID
"""

import os
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    """Print the summary that a model would receive."""
    if len(sys.argv) != 3 or "TOKEN" not in os.environ:
        sys.exit(__doc__)
    url, campaign_id = sys.argv[1:]
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    transport = httpx2.AsyncHTTPTransport(retries=5)  # the server may still be starting
    async with (
        httpx2.AsyncClient(headers=headers, transport=transport) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("get_campaign", {"campaign_id": campaign_id})
        for block in result.content[:1]:
            print(block.text if block.type == "text" else block)


if __name__ == "__main__":
    anyio.run(main)
