"""The socket and the configuration of a uvicorn server: of the MCP endpoint, and of the metrics."""

import socket
from typing import Any

import uvicorn

from callers_mcp.http.runtime.protocol import BoundedProtocol
from callers_mcp.settings import SettingsError


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Open a socket to serve on.

    Args:
        host: An address or a name.
        port: The port; 0 means a free one.
        setting: What sets the address, for the message.

    Raises:
        SettingsError: The address can't be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][-1]
        return socket.create_server(address, family=family, backlog=2048)
    except (OSError, UnicodeError) as error:  # the latter if it is not a valid name
        why = (getattr(error, "strerror", None) or "not an address").partition(" (while")[0]
        raise SettingsError(f"{host} port {port} can't be used ({why}); set another {setting}.") from None


def server_config(app: Any, **options: Any) -> uvicorn.Config:
    """Return a configuration for an ASGI application, in which uvicorn has our limits, and logs no requests."""
    return uvicorn.Config(
        app,
        workers=1,  # otherwise WEB_CONCURRENCY is read, and ends the start if it is not a number
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        **options,
    )
