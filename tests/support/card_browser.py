"""The card in a real browser: a host page on loopback, whose tool calls go to the real server.

Use it in a test of how Chromium shows the card. Such a test has the mark ``parts``. A test that only reads the card's
HTML, or writes it to a file, needs no browser.
"""

import json
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import TextContent

pytest.importorskip("playwright.async_api", reason="needs the Python package playwright")
pytest.importorskip("axe_playwright_python", reason="needs the Python package axe-playwright-python")

# Tests import these names from this module, so that they are skipped if a package is missing.
from playwright.async_api import Browser as Browser
from playwright.async_api import ConsoleMessage, Frame, Page, Request, async_playwright
from playwright.async_api import Error as Error
from playwright.async_api import FrameLocator as FrameLocator
from playwright.async_api import expect as expect

from callers_mcp.server.card import card_html
from tests.support.campaigns import Json
from tests.support.constants import PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.lookups import connect

expect.set_options(timeout=PATIENCE * 1000)

FOLDER = Path(__file__).parents[1] / "card"
"""The folder with the host pages: ``host.html``, ``host.js``, ``bridge.js``."""

# The policy that MCP Apps permits for a card that requests no domain. The card's frame inherits it from the header.
HOST_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'self'"
)


class HostSite:
    """The host page and the card, served on loopback.

    Args:
        script: Replaces host.js.
    """

    def __init__(self, script: bytes | None = None) -> None:
        files = {
            "/": ("text/html", (FOLDER / "host.html").read_bytes()),
            "/host.js": ("text/javascript", script or (FOLDER / "host.js").read_bytes()),
            "/card.html": ("text/html", card_html().encode()),
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, body = files.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", f"{kind or 'text/plain'}; charset=utf-8")
                self.send_header("Content-Security-Policy", HOST_POLICY)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Watched:
    """A page that records everything unexpected: requests to the network, messages in the console, dialogs.

    Attributes:
        requests: The URLs of all requests, except those to the host's own site.
        complaints: Errors and warnings in the console, such as violations of a policy, uncaught errors, and dialogs.
    """

    def __init__(self, page: Page, own: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", partial(self._requested, own))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _requested(self, own: str, request: Request) -> None:
        if not request.url.startswith((own, "data:", "about:")):
            self.requests.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def assert_calm(self) -> None:
        assert (self.requests, self.complaints) == ([], [])


class Host(Watched):
    """The host page with the card in it.

    Attributes:
        client: The client of the real server.
        calls: The arguments of each tool call from the page.
        stand_in: Results for the next calls, instead of results of the server.
        held: If set, calls are answered only after this event.
    """

    def __init__(self, page: Page, url: str, client: Client | None) -> None:
        super().__init__(page, url)
        self.url = url
        self.client = client
        self.calls: list[Json] = []
        self.stand_in: list[Json] = []
        self.held: anyio.Event | None = None

    async def start(self) -> None:
        await self.page.expose_function("callTool", self._call_tool)
        await self.page.goto(self.url)

    async def _call_tool(self, name: str, arguments: Json) -> str:
        self.calls.append(arguments)
        if self.held:
            await self.held.wait()
        if self.stand_in:
            return json.dumps(self.stand_in.pop(0))
        assert self.client
        try:
            result = await self.client.call_tool(name, arguments)
        except MCPError as error:
            return json.dumps({"error": {"code": -32603, "message": str(error)}})
        blocks = [{"type": "text", "text": block.text} for block in result.content if isinstance(block, TextContent)]
        made: Json = {"content": blocks, "isError": result.is_error}
        if result.structured_content is not None:
            made["structuredContent"] = result.structured_content
        return json.dumps(made)

    async def open(self, **options: Any) -> FrameLocator:
        """Open the card for one call, and return it; see ``host.open`` in host.js for the options."""
        await self.page.evaluate("options => host.open(options)", options)
        return self.page.frame_locator("iframe[title=Campaign]")

    async def look_up(self, campaign_id: str, place: str | None = None, **options: Any) -> FrameLocator:
        """Open the card for a look-up by the real server, and wait until it is drawn."""
        given = {"campaign_id": campaign_id} | ({"sub_organization_id": place} if place else {})
        card = await self.open(input=given, **options)
        await card.locator(".pill").wait_for()
        return card

    @asynccontextmanager
    async def at(self, api: FaultServer, **settings: Any) -> AsyncIterator[None]:
        """Use a server that looks up campaigns at ``api``."""
        before = self.client
        async with connect(api, **settings) as self.client:
            yield
        self.client = before

    async def show(self, structured: Any, *texts: str, **options: Any) -> FrameLocator:
        """Open the card with a given result."""
        result = {"content": [{"type": "text", "text": text} for text in texts]}
        card = await self.open(
            result=result if structured is None else result | {"structuredContent": structured}, **options
        )
        await card.locator("article h1").filter(has_not_text="Waiting").wait_for()
        return card

    async def notify(self, method: str, params: Json) -> None:
        await self.page.evaluate("([method, params]) => host.notify(method, params)", [method, params])

    async def ask(self, method: str, params: Json | None = None) -> Json:
        answer: Json = await self.page.evaluate(
            "([method, params]) => host.ask(method, params)", [method, params or {}]
        )
        return answer

    async def received(self, method: str) -> list[Json]:
        """Return the parameters of the card's messages with this method."""
        messages: list[Json] = await self.page.evaluate("method => host.of(method)", method)
        return [message.get("params", {}) for message in messages]

    @property
    def frame(self) -> Frame:
        return self.page.frames[1]


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


async def axe_finds(frame: Frame | Page, *rules: str) -> list[str]:
    """Return the problems that axe-core finds in a document, with all its rules or only the named ones."""
    await frame.evaluate(_axe())
    found: Json = await frame.evaluate("rules => axe.run(rules.length ? {runOnly: rules} : {})", list(rules))
    assert len(found["passes"]) >= (len(rules) or 10), "axe-core did not check the document"
    return [
        f"{rule['id']}: {[node['html'] + node['failureSummary'] for node in rule['nodes']]}"
        for rule in found["violations"]
    ]


async def until_true(frame: Frame | Page, expression: str, argument: Any = None) -> None:
    """Wait until a JavaScript expression, or a function of ``argument``, is true in a document.

    Playwright's ``wait_for_function`` calls ``eval`` in the document, which the policy of the host does not allow.
    """
    with anyio.fail_after(PATIENCE):
        while not await frame.evaluate(expression, argument):  # noqa: ASYNC110 - the page sets no event
            await anyio.sleep(0.02)


async def overflow(frame: Frame | Page) -> int:
    """Return how many pixels a document is wider than its window."""
    wider: int = await frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()
