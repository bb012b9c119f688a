"""The doors: one file a tool, and the list of them."""

from typing import Any

from callers_mcp.server.tools.get_campaign import GET_CAMPAIGN
from callers_mcp.server.tools.tool import Tool


def load_tools(*, lists: bool) -> tuple[Tool[Any, Any], ...]:
    """Return the tools in the order in which the server lists them.

    Args:
        lists: Whether lists of campaigns can be had; a tool that needs them is not even loaded otherwise.
    """
    if not lists:
        return (GET_CAMPAIGN,)
    from callers_mcp.server.tools.find_campaigns import FIND_CAMPAIGNS

    return (GET_CAMPAIGN, FIND_CAMPAIGNS)
