"""Public documents with which machines find this server: its Server Card (SEP-2127), and an AI Catalog that lists it.

Both are made once, from the settings: nothing in a request changes them.

Source: https://github.com/modelcontextprotocol/experimental-ext-server-card/blob/main/docs/discovery.md,
https://github.com/Agent-Card/ai-catalog/releases/tag/v0.9.0
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mcp.server.lowlevel import Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from callers_mcp.http.rejections import HttpRejection
from callers_mcp.http.settings import MCP_PATH, HostingSettings

CATALOG_PATH = "/.well-known/ai-catalog.json"
_CARD_PATH = "/server-card"  # after the path of the endpoint
_CARD_TYPE = "application/mcp-server-card+json"
_CATALOG_TYPE = "application/ai-catalog+json"
_CATALOG_VERSION = "0.9"
_DESCRIPTION = "Look up calling campaigns at Callers (callers.ai): a summary and the raw JSON."
_METHODS = "GET, HEAD, OPTIONS"
_HEADERS = {
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Content-Type, If-None-Match",
    "Access-Control-Expose-Headers": "ETag",
}


class PublicDocument:
    """An ASGI application that serves one JSON document to anyone, including scripts of other web sites.

    Args:
        content: The document.
        media_type: Its media type.
    """

    def __init__(self, content: Mapping[str, object], media_type: str) -> None:
        self._body, self._media_type = json.dumps(content).encode(), media_type
        self._etag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            HttpRejection: Its method is not GET, HEAD or OPTIONS.
        """
        await self._response(Request(scope))(scope, receive, send)

    def _response(self, request: Request) -> Response:
        if request.method == "OPTIONS":  # a browser asks whether a script may send If-None-Match
            return Response(status_code=204, headers=_HEADERS | {"Allow": _METHODS})
        if request.method not in ("GET", "HEAD"):
            raise HttpRejection(f"This document accepts only {_METHODS}.", status=405, headers={"Allow": _METHODS})
        headers = _HEADERS | {"ETag": self._etag}
        known = ",".join(request.headers.getlist("if-none-match")).split(",")
        if not {self._etag, "*"}.isdisjoint(tag.strip().removeprefix("W/") for tag in known):
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers=headers, media_type=self._media_type)


def public_documents(hosting: HostingSettings, server: Server[Any]) -> dict[str, PublicDocument]:
    """Return the documents by their paths; none if ``CALLERS_HTTP_SERVER_CARD`` is off.

    Args:
        hosting: The public URL, and the methods of authentication.
        server: Its name, version and title are those of the card.
    """
    if not hosting.server_card:
        return {}
    url = urlsplit(hosting.url)
    host, path = url.hostname or "", url.path.rstrip("/")
    catalog_entry = {
        "identifier": f"urn:air:{host}:mcp:{server.name}",
        "type": _CARD_TYPE,
        "url": f"{url.scheme}://{url.netloc}{path}{_CARD_PATH}",
    }
    card = PublicDocument(_card(hosting, server, host), _CARD_TYPE)
    catalog = PublicDocument({"specVersion": _CATALOG_VERSION, "entries": [catalog_entry]}, _CATALOG_TYPE)
    return {MCP_PATH + _CARD_PATH: card, path + _CARD_PATH: card, CATALOG_PATH: catalog}


def _card(hosting: HostingSettings, server: Server[Any], host: str) -> dict[str, object]:
    remote: dict[str, object] = {
        "type": "streamable-http",
        "url": hosting.url,
        "supportedProtocolVersions": [*MODERN_PROTOCOL_VERSIONS],  # as server/discover lists them
    }
    if "tokens" in hosting.methods:
        remote["headers"] = [
            {
                "name": "Authorization",
                "description": "A token from the operator of this server, after the word Bearer",
                "placeholder": "Bearer <token>",
                "isSecret": True,
                "isRequired": "oauth" not in hosting.methods,
            }
        ]
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json",
        "name": f"{'.'.join(reversed(host.split('.')))}/{server.name}",
        "version": server.version,
        "title": server.title,
        "description": _DESCRIPTION,
        "websiteUrl": server.website_url,
        "remotes": [remote],
    }
