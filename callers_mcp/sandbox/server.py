"""The simulated API: real HTTP on a loopback port, answering as the reference says."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from callers_mcp.sandbox.samples import SAMPLES, SUB_ORGANIZATION_ID, sample_ids

API_KEY = "sandbox-key"
"""The key that the sandbox accepts."""

_path = re.compile(r"/campaigns/([^/?]+)")


class Sandbox:
    """A simulated Callers API, serving while its ``with`` block runs.

    Args:
        port: Where to listen on 127.0.0.1; 0 takes a free one.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), _Handler)

    @property
    def base_url(self) -> str:
        """What to set as ``CALLERS_BASE_URL``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sandbox", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that left: to tests of cancellation that is the normal case."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "callers-sandbox"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        status, body = self._answer()
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _answer(self) -> tuple[int, dict[str, object]]:
        if self.headers.get("Authorization") != API_KEY:
            return 401, _error(f"Wrong API key. The sandbox accepts: {API_KEY}")
        found = _path.fullmatch(self.path)
        if not found:
            return 404, _error("The sandbox has GET /campaigns/{campaignId} alone.")
        campaign_id, place = found[1].lower(), self.headers.get("x-sub-organization-id")
        if not re.fullmatch("[0-9a-f]{24}", campaign_id):
            return 400, _error("campaignId must be a valid ObjectId.")
        if place not in (None, SUB_ORGANIZATION_ID):
            return 403, _error(f"Unknown sub-organization. The sandbox has: {SUB_ORGANIZATION_ID}")
        held_in, make = SAMPLES.get(campaign_id, ("", None))
        if make is None or held_in != place:
            return 404, _error(f"No such sample campaign. The samples: {sample_ids()}")
        return 200, make()

    def log_message(self, *args: object) -> None:
        """Stay silent: stderr belongs to the server's own log."""


def _error(message: str) -> dict[str, object]:
    return {"status": "error", "message": message, "data": []}
