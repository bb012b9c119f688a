"""A simple server, for comparison: the raw JSON of a campaign, by the decorator of the MCP SDK."""

import os

import httpx2
from mcp.server import MCPServer

mcp = MCPServer("callers", log_level="ERROR")


@mcp.tool()
async def get_campaign(campaign_id: str, sub_organization_id: str = "") -> str:
    """Get a campaign by its id."""
    headers = {"Authorization": os.environ["CALLERS_API_KEY"], "x-sub-organization-id": sub_organization_id}
    async with httpx2.AsyncClient(base_url=os.environ["CALLERS_BASE_URL"]) as http:
        return (await http.get(f"/campaigns/{campaign_id}", headers={k: v for k, v in headers.items() if v})).text


if __name__ == "__main__":
    mcp.run()
