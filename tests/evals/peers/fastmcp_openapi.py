# /// script
# requires-python = ">=3.11"
# dependencies = ["fastmcp>=4.2,<5"]
# ///
"""A simple server, for comparison: FastMCP generates it from the API's OpenAPI document. Start it with ``uv run``."""

import json
import os
from pathlib import Path

import httpx2
from fastmcp import FastMCP

document = json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8"))
http = httpx2.AsyncClient(
    base_url=os.environ["CALLERS_BASE_URL"], headers={"Authorization": os.environ["CALLERS_API_KEY"]}
)
names = {"CampaignPublicController_getCampaign": "get_campaign"}
mcp = FastMCP.from_openapi(document, http, name="callers", mcp_names=names)

if __name__ == "__main__":
    mcp.run(show_banner=False, log_level="ERROR")
