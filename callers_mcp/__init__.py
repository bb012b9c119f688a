"""Look up calling campaigns at Callers (callers.ai) from any MCP host.

``create_server`` makes the MCP server, ``CallersClient`` talks to the API, ``Settings`` configures both. They load on
first use: the command line pauses the garbage collector before anything heavy is imported, and ``--version`` needs none
of it.
"""

TYPE_CHECKING = False  # typing's own, without loading typing
if TYPE_CHECKING:
    from callers_mcp.api.client import CallersClient
    from callers_mcp.server.create import create_server
    from callers_mcp.settings import Settings

__all__ = ["CallersClient", "Settings", "__version__", "create_server"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "CallersClient":
        from callers_mcp.api.client import CallersClient

        return CallersClient
    if name == "Settings":
        from callers_mcp.settings import Settings

        return Settings
    if name == "create_server":
        from callers_mcp.server.create import create_server

        return create_server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
