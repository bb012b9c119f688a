"""A browser for a module's tests, and for each test a host page of its own."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
from mcp import Client

from callers_mcp import Settings, create_server
from callers_mcp.sandbox import API_KEY, Sandbox

if TYPE_CHECKING:  # as Playwright may be missing
    from tests.support.card_browser import Browser, Host, HostSite


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"  # one event loop for a module, as its browser needs


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> "AsyncIterator[Browser]":
    from tests.support.card_browser import chromium

    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def site() -> "Iterator[HostSite]":
    from tests.support.card_browser import HostSite

    with HostSite() as site:
        yield site


@pytest.fixture
async def host(browser: "Browser", site: "HostSite", sandbox: Sandbox) -> "AsyncIterator[Host]":
    """A host whose calls the server answers from the sandbox."""
    from tests.support.card_browser import Host

    settings = Settings(api_key=API_KEY, base_url=sandbox.base_url)  # type: ignore[arg-type]
    async with Client(create_server(settings)) as client:
        page = await browser.new_page(viewport={"width": 1000, "height": 900})
        host = Host(page, site.url, client)
        await host.start()
        yield host
        await page.close()
