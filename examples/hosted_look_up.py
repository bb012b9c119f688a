"""Look up one campaign on a hosted server.

TOKEN=... python examples/hosted_look_up.py URL CAMPAIGN_ID
"""

import os
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, campaign_id: str) -> None:
    """Print the summary that a model would receive."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    transport = httpx2.AsyncHTTPTransport(retries=5)  # the server may still be starting
    async with (
        httpx2.AsyncClient(headers=headers, transport=transport) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("get_campaign", {"campaign_id": campaign_id})
        texts = [block.text for block in result.content if block.type == "text"]
        if result.is_error:
            raise LookupError(" ".join(texts))
        print(texts[0])


if __name__ == "__main__":
    if len(sys.argv) != 3 or not os.environ.get("TOKEN"):
        sys.exit(__doc__)
    try:
        anyio.run(main, sys.argv[1], sys.argv[2])
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]  # the cause
        sys.exit(f"No campaign was looked up: {' '.join(str(error).split())}")
