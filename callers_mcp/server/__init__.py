"""The MCP server. ``create_server`` is in ``create``: a tool, or the card, loads without ``mcp``."""
