"""The MCP server. ``create_server`` is in ``create``, so that tools and the card load without ``mcp``."""
