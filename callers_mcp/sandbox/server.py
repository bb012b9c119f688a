"""The simulated API: real HTTP on a loopback port, with the responses of the API reference."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs

from callers_mcp.sandbox.samples import ORGANIZATION_ID, SAMPLES, SUB_ORGANIZATION_ID, as_json, sample_ids

API_KEY = "sandbox-key"
"""The key that the sandbox accepts."""

_path = re.compile(r"/campaigns/([^/?]+)")
_object_id = re.compile("[0-9a-f]{24}")


class Sandbox:
    """A simulated Callers API that runs inside its ``with`` block.

    Args:
        port: The port on 127.0.0.1; 0 takes a free one.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)

    @property
    def base_url(self) -> str:
        """The value for ``CALLERS_BASE_URL``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sandbox", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that disconnected: that is normal in tests of cancellation."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "callers-sandbox"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        status, content = self._response()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _response(self) -> tuple[int, bytes]:
        if self.headers.get("Authorization") != API_KEY:
            return _error(401, f"Wrong API key. The sandbox accepts: {API_KEY}")
        sub_organization_id = self.headers.get("x-sub-organization-id")
        if sub_organization_id not in (None, SUB_ORGANIZATION_ID):
            return _error(403, f"Unknown sub-organization. The sandbox has: {SUB_ORGANIZATION_ID}")
        path, _, query = self.path.partition("?")
        if path == "/campaigns":
            return _list_response(query, sub_organization_id)
        if found := _path.fullmatch(self.path):
            return _campaign_response(found[1].lower(), sub_organization_id)
        return _error(404, "The sandbox has only GET /campaigns/{campaignId} and GET /campaigns?organizationId=...")

    def log_message(self, *args: object) -> None:
        """Log nothing: stderr is for the server's own log."""


def _campaign_response(campaign_id: str, sub_organization_id: str | None) -> tuple[int, bytes]:
    if not _object_id.fullmatch(campaign_id):
        return _error(400, "campaignId must be a valid ObjectId.")
    if campaign_id in SAMPLES:
        owner, make = SAMPLES[campaign_id]
        campaign = make() if owner == sub_organization_id else None
    else:
        from callers_mcp.sandbox import organization  # the samples do not need it

        campaign = organization.find(campaign_id, sub_organization_id)
    if campaign is None:
        return _error(404, f"No such campaign. The samples: {sample_ids()}")
    return 200, as_json(campaign)


def _list_response(query: str, sub_organization_id: str | None) -> tuple[int, bytes]:
    parameters, organization_id = parse_qs(query, keep_blank_values=True), sub_organization_id or ORGANIZATION_ID
    organizations, groups = parameters.get("organizationId", []), parameters.get("campaignGroupId", [])
    if not organizations:
        return _error(400, f"organizationId is required. Here it is {organization_id}")
    for name, values in (("organizationId", organizations), ("campaignGroupId", groups)):
        if len(values) > 1 or not all(_object_id.fullmatch(value.lower()) for value in values):
            return _error(400, f"{name} must be a valid ObjectId.")
    if organizations[0].lower() != organization_id:
        header = "With that" if sub_organization_id else "Without an"
        return _error(403, f"Another organization. {header} x-sub-organization-id, organizationId is {organization_id}")
    from callers_mcp.sandbox import organization

    return 200, organization.list_body(sub_organization_id, groups[0].lower() if groups else None)


def _error(status: int, message: str) -> tuple[int, bytes]:
    return status, as_json({"status": "error", "message": message, "data": []})
