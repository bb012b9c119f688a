"""Look up calling campaigns at Callers (callers.ai) from any MCP host.

``create_server`` creates the MCP server, ``CallersClient`` talks to the API, ``Settings`` configures both. They are
imported on first use: the command line disables the garbage collector before it imports large modules, and
``--version`` needs none of them.
"""

TYPE_CHECKING = False  # type checkers take it as typing.TYPE_CHECKING; importing typing takes time
if TYPE_CHECKING:
    from callers_mcp.api.client import CallersClient
    from callers_mcp.server.create import create_server
    from callers_mcp.settings import Settings

__all__ = ["CallersClient", "Settings", "__version__", "create_server"]

__version__ = "0.1.0"


_MODULES = {"CallersClient": "api.client", "Settings": "settings", "create_server": "server.create"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
