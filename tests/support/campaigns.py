"""A healthy campaign as the API's reference documents it, ways to make it odd, and an API that serves any bytes."""

import copy
import json
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from mcp import Client

from callers_mcp import Settings, create_server
from callers_mcp.campaign.summary import summarize
from callers_mcp.campaign.text import summary_text
from callers_mcp.server.tools import load_tools
from tests.support.constants import ID, KEY

Json = dict[str, Any]

NOW = datetime(2026, 11, 5, 12, 0, tzinfo=UTC)
"""A Thursday; noon in London."""


_HEALTHY: Json = {
    "id": ID,
    "name": "Spring renewals",
    "active": True,
    "firstInteractionAt": "2026-11-02T09:30:00.000Z",
    "completedAt": None,
    "callParams": {
        "phonesFrom": ["+442071838750"],
        "timezone": "Europe/London",
        "daysOfWeek": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
        "language": "en-GB",
        "approvedCountries": ["GB"],
    },
    "organizationId": "65aa0011223344556677889a",
    "webhooks": ["https://hooks.example.com/callers"],
    "slackUrl": None,
    "isIncoming": False,
    "variables": ["firstName", "renewalDate"],
    "pauseNewChats": False,
    "incomingPhoneNumber": None,
    "campaignGroupId": "65bb0011223344556677889a",
    "campaignGroupName": "Renewals",
}

FIELDS: Sequence[str] = [
    *(name for name in _HEALTHY if name != "callParams"),
    "callParams",
    *(f"callParams.{name}" for name in _HEALTHY["callParams"]),
]
"""Every documented field, by its path."""

STRING_FIELDS: Sequence[str] = [
    path for path in FIELDS if path not in ("active", "isIncoming", "pauseNewChats", "callParams")
]
"""Every documented field that is a string or a list of strings."""

LISTS = ("webhooks", "variables", "callParams.phonesFrom", "callParams.daysOfWeek", "callParams.approvedCountries")

MAY_BE_MISSING = (
    "firstInteractionAt",
    "completedAt",
    "pauseNewChats",
    "incomingPhoneNumber",
    "campaignGroupId",
    "campaignGroupName",
)
REQUIRED = [path for path in FIELDS if path not in MAY_BE_MISSING]
MAY_BE_NULL = (
    *MAY_BE_MISSING,
    "slackUrl",
    "webhooks",
    "variables",
    *(path for path in FIELDS if path.startswith("callParams.")),
)
NEVER_NULL = [path for path in FIELDS if path not in MAY_BE_NULL]


def campaign(**values: Any) -> Json:
    """Return a healthy campaign with ``values`` in it; ``callParams`` is merged."""
    made = copy.deepcopy(_HEALTHY)
    call_params = values.pop("callParams", {})
    made.update(values)
    made["callParams"].update(call_params)
    return made


def inbound(**values: Any) -> Json:
    """Return a healthy inbound campaign, which needs neither numbers to call from nor countries."""
    return campaign(
        **{
            "isIncoming": True,
            "incomingPhoneNumber": "+442071838751",
            "callParams": {"phonesFrom": None, "approvedCountries": None, "daysOfWeek": None},
        }
        | values
    )


def replaced(path: str, value: Any, source: Json | None = None) -> Json:
    """Return a campaign with ``value`` at ``path``, such as ``callParams.timezone``."""
    made = copy.deepcopy(source) if source is not None else campaign()
    *parents, name = path.split(".")
    holder = made
    for parent in parents:
        holder = holder[parent]
    holder[name] = value
    return made


def without(*paths: str, source: Json | None = None) -> Json:
    """Return a campaign that lacks the fields at ``paths``."""
    made = copy.deepcopy(source) if source is not None else campaign()
    for path in paths:
        *parents, name = path.split(".")
        holder = made
        for parent in parents:
            holder = holder[parent]
        del holder[name]
    return made


def with_text(path: str, text: str) -> Json:
    """Return a campaign in which the string field at ``path`` (or its one member) is ``text``."""
    return replaced(path, [text] if path in LISTS else text)


def summary_of(
    raw: Json, *, asked_for: str = ID, place: str | None = None, now: datetime = NOW, changes: Sequence[str] = ()
) -> Json:
    """Return the summary as it goes over the wire."""
    return summarize(raw, requested_id=asked_for, sub_organization_id=place, now=now, notes=changes).model_dump()


def text_of(raw: Json, *, place: str | None = None, changes: Sequence[str] = ()) -> str:
    """Return the summary as the model reads it."""
    return summary_text(summarize(raw, requested_id=ID, sub_organization_id=place, now=NOW, notes=changes))


def wire_definition(name: str = "get_campaign") -> Json:
    """Return a tool's definition as ``tools/list`` has it."""
    (tool,) = (tool for tool in load_tools(with_lists=True) if tool.name == name)
    return tool.definition().model_dump(mode="json", by_alias=True, exclude_none=True)


_QUOTED = r'"(?:[^"\\\n]|\\["\\])*"'
_VALUE = rf"(?:{_QUOTED}|[A-Za-z0-9+](?:[A-Za-z0-9_./:+-]*[A-Za-z0-9])?)"
_LISTED = rf"{_VALUE}(?:, {_VALUE})*(?: and \d+ more)?"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z(?: \((?:less than a day|1 day|\d+ days) ago\))?"
_SENTENCE = rf"(?:[A-Z]|\d+ more )(?:[A-Za-z0-9 ,.:;()'+\[\]-]|{_QUOTED})+\."
_LINES = (
    r"(?:Running|Completed|Stopped|Not yet started|Outbound|Inbound|Campaign)\b[A-Za-z0-9_ ,()/+-]*\.",
    "Needs attention:",
    "Worth checking:",
    rf"- {_SENTENCE}",
    rf"Name: {_QUOTED}",
    rf"Id: {_VALUE}",
    "Status: (?:running|new chats paused|completed|stopped|not started|unknown)",
    "Direction: (?:outbound|inbound)",
    rf"(?:First interaction|Completed): {_TIME}",
    rf"Calling days: (?:every day|{_VALUE}(?:(?:, | and | to ){_VALUE})*)"
    r"(?: and \d+ more)?(?:; today is (?:not )?one of them)?",
    rf"Time zone: {_VALUE}(?: \(local time [0-9T:+-]+\))?",
    rf"(?:Language|Incoming number|Organization): {_VALUE}",
    rf"(?:Approved countries|Calls from|Webhooks go to): {_LISTED}",
    rf"Group: (?:{_QUOTED} \(id {_VALUE}\)|{_QUOTED}|\(id {_VALUE}\))",
    "Slack notifications: (?:on|off)",
    r"Variables: \d+",
    r"Looked up in: (?:the main organization|sub-organization [!-~]+)",
    rf"As of: {_TIME}",
)
_line, _quoted, _sentence = re.compile("|".join(_LINES)), re.compile(_QUOTED), re.compile(_SENTENCE)


def is_ours(line: str) -> bool:
    """Tell whether ``line`` is one of the text's own, with what strangers wrote in quotation marks or a plain token."""
    return _line.fullmatch(line) is not None


def is_our_sentence(sentence: str) -> bool:
    """Tell the same of a sentence of ``attention`` or ``find_hints``."""
    return _sentence.fullmatch(sentence) is not None


def outside_quotes(text: str) -> str:
    """Return ``text`` without what stands in quotation marks."""
    return _quoted.sub("", text)


class Api:
    """An HTTP API on loopback that answers every GET with ``body``, and records the requests."""

    def __init__(self, body: bytes | Json = b"{}") -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[Client]:
        """Connect a client, in memory, to a server that looks campaigns up here."""
        given = {"api_key": KEY, "base_url": self.base_url} | settings
        async with Client(create_server(Settings(**given))) as client:
            yield client

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            api.requests.append((self.path, dict(self.headers)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(api.body)))
            self.end_headers()
            self.wfile.write(api.body)

        def log_message(self, *args: object) -> None:
            """Keep the tests' output clean."""

    return Handler
