"""The tools, one file each, and the function that loads them."""

from typing import Any

from callers_mcp.server.tools.get_campaign import GET_CAMPAIGN, GET_CAMPAIGN_WITH_LISTS
from callers_mcp.server.tools.tool import Tool


def load_tools(*, with_lists: bool) -> tuple[Tool[Any, Any], ...]:
    """Return the tools in the order in which the server lists them.

    Args:
        with_lists: Whether campaigns can be listed. If not, a tool that needs lists is not imported.
    """
    if not with_lists:
        return (GET_CAMPAIGN,)
    from callers_mcp.server.tools.find_campaigns import FIND_CAMPAIGNS

    return (GET_CAMPAIGN_WITH_LISTS, FIND_CAMPAIGNS)
