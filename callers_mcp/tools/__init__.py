"""The doors: one file a tool, and the list of them."""

from typing import Any

from callers_mcp.tools.get_campaign import GET_CAMPAIGN
from callers_mcp.tools.tool import Tool

TOOLS: tuple[Tool[Any, Any], ...] = (GET_CAMPAIGN,)
"""Every tool of the server, in the order in which it lists them."""
