"""The card in a host whose side of MCP Apps is the official one, of the npm package @modelcontextprotocol/ext-apps."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from callers_mcp import Settings, __version__, create_server
from callers_mcp.sandbox import API_KEY, SAMPLES, Sandbox
from callers_mcp.server.card import CARD_URI
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.card_browser import FOLDER, Browser, FrameLocator, Host, HostSite, expect, until_true
from tests.support.constants import NODE_MODULES, PATIENCE
from tests.support.fault_server import FaultServer

pytestmark = pytest.mark.parts
SAMPLE_ID, *_ = SAMPLES
BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
DARK, LIGHT = "rgb(1, 2, 3)", "rgb(250, 251, 252)"
CONTEXT: Json = {
    "theme": "dark",
    "styles": {"variables": {"--color-background-primary": f"light-dark({LIGHT}, {DARK})"}},
    "displayMode": "inline",
    "availableDisplayModes": ["inline"],
    "containerDimensions": {"width": 760, "maxHeight": 5000},
    "locale": "en-GB",
    "timeZone": "Europe/London",
    "platform": "web",
}


class OfficialHost(Host):
    """The host page of ``bridge.js``, which receives the server's answers unchanged."""

    async def _call_tool(self, name: str, arguments: Json) -> str:
        self.calls.append(arguments)
        assert self.client
        return _wire(await self.client.call_tool(name, arguments))

    async def card(self) -> Json:
        """Return the resource as the server gives it."""
        assert self.client
        (card,) = json.loads(_wire(await self.client.read_resource(CARD_URI)))["contents"]
        assert isinstance(card, dict)
        return card

    async def start_card(self) -> FrameLocator:
        return await self.look_up(SAMPLE_ID, card=await self.card(), context=CONTEXT)

    async def parsed(self, schema: str, value: Any) -> Any:
        """Return what an official schema takes of ``value``; it leaves out what it does not know."""
        return await self.page.evaluate("([schema, value]) => host[schema].parse(value)", [schema, value])

    async def assert_nothing_amiss(self) -> None:
        assert await self.page.evaluate("host.amiss") == []
        self.assert_calm()


def _wire(result: Any) -> str:
    text: str = result.model_dump_json(by_alias=True, exclude_none=True)
    return text


@pytest.fixture(scope="module")
def official_site() -> Iterator[HostSite]:
    modules = Path(os.environ.get(NODE_MODULES, "nowhere")).absolute()
    for package in ("@modelcontextprotocol/ext-apps", "esbuild"):
        if not (modules / package).is_dir():
            pytest.skip(f"the npm package {package} is not in {NODE_MODULES}")
    path = os.pathsep.join((str(modules / ".bin"), os.environ.get("PATH", "")))
    if shutil.which("node", path=path) is None:
        pytest.skip("Node is not here")
    esbuild = shutil.which("esbuild", path=path) or "esbuild"
    command = [esbuild, str(FOLDER / "bridge.js"), "--bundle", "--global-name=host"]
    environment = os.environ | {"PATH": path, "NODE_PATH": str(modules)}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, timeout=PATIENCE)
    with HostSite(script=run.stdout) as site:
        yield site


@pytest.fixture
async def host(official_site: HostSite, browser: Browser, sandbox: Sandbox) -> AsyncIterator[OfficialHost]:
    settings = Settings(api_key=API_KEY, base_url=sandbox.base_url)  # type: ignore[arg-type]
    async with Client(create_server(settings)) as client:
        page = await browser.new_page(viewport={"width": 1000, "height": 900})
        host = OfficialHost(page, official_site.url, client)
        await host.start()
        yield host
        await page.close()


async def test_the_official_package_understands_how_the_server_offers_the_card(host: OfficialHost) -> None:
    assert host.client
    tools = json.loads(_wire(await host.client.list_tools()))["tools"]
    uris = await host.page.evaluate("tools => tools.map((tool) => host.getToolUiResourceUri(tool) ?? null)", tools)
    assert [(tool["name"], uri) for tool, uri in zip(tools, uris, strict=True) if uri] == [("get_campaign", CARD_URI)]
    (shown,) = (tool["_meta"]["ui"] for tool in tools if tool["name"] == "get_campaign")
    assert await host.parsed("McpUiToolMetaSchema", shown) == shown
    (listed,) = json.loads(_wire(await host.client.list_resources()))["resources"]
    for resource in (listed, await host.card()):
        assert resource["mimeType"] == await host.page.evaluate("host.RESOURCE_MIME_TYPE")
        assert await host.parsed("McpUiResourceMetaSchema", resource["_meta"]["ui"]) == resource["_meta"]["ui"]


async def test_the_official_host_starts_the_card_and_shows_a_campaign(host: OfficialHost) -> None:
    card = await host.start_card()
    await expect(card.locator("h1")).to_have_text("Sample: Spring renewals")
    await expect(card.locator(".pill")).to_have_text("Status: Running")
    assert await host.frame.evaluate(BACKGROUND) == DARK
    assert await host.frame.evaluate("document.documentElement.dataset.displayMode") == "inline"

    info, capabilities = await host.page.evaluate("[host.bridge.getAppVersion(), host.bridge.getAppCapabilities()]")
    assert (info["name"], info["version"]) == ("callers-campaign-card", __version__)
    assert capabilities == {"availableDisplayModes": ["inline", "fullscreen"]}
    (initialize,) = await host.received("ui/initialize")
    assert initialize["protocolVersion"] in await host.page.evaluate("host.SUPPORTED_PROTOCOL_VERSIONS")
    for method, schema in {
        "ui/initialize": "McpUiInitializeRequestSchema",
        "ui/notifications/initialized": "McpUiInitializedNotificationSchema",
        "ui/notifications/size-changed": "McpUiSizeChangedNotificationSchema",
    }.items():
        for params in await host.received(method):
            message = {"method": method, "params": params}
            assert await host.parsed(schema, message) == message
    await host.assert_nothing_amiss()


async def test_the_official_host_gives_the_frame_the_height_of_the_card(host: OfficialHost) -> None:
    card = await host.start_card()
    fits = "document.documentElement.scrollHeight <= innerHeight && innerHeight > 500"
    await until_true(host.frame, fits)
    before = (await host.page.evaluate("host.sizes"))[-1]
    assert before["width"] == 760
    await card.get_by_text("Raw JSON", exact=True).click()
    await until_true(host.page, "before => host.sizes.at(-1).height > before + 200", before["height"])
    await until_true(host.frame, fits)
    assert len(await host.page.evaluate("host.sizes")) < 10
    await host.assert_nothing_amiss()


async def test_the_official_host_s_change_of_theme_is_taken(host: OfficialHost) -> None:
    await host.start_card()
    await host.page.evaluate("context => host.bridge.setHostContext(context)", CONTEXT | {"theme": "light"})
    await until_true(host.frame, f"{BACKGROUND} === '{LIGHT}'")
    await host.assert_nothing_amiss()


async def test_refresh_calls_the_tool_through_the_official_host(host: OfficialHost) -> None:
    card = await host.start_card()
    with FaultServer(fault.answer(campaign(id=SAMPLE_ID, name="Autumn renewals", pauseNewChats=True))) as api:
        async with host.at(api):
            await card.get_by_role("button", name="Refresh").click()
            await expect(card.locator("h1")).to_have_text("Autumn renewals")
            await expect(card.locator(".pill")).to_have_text("Status: New chats paused")
            await expect(card.get_by_role("status").filter(has_text="Refreshed")).to_have_count(1)
    assert await host.received("tools/call") == [{"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}}]
    assert host.calls == [{"campaign_id": SAMPLE_ID}] * 2
    await host.assert_nothing_amiss()


async def test_the_official_host_s_teardown_is_answered(host: OfficialHost) -> None:
    await host.start_card()
    assert await host.page.evaluate("host.bridge.teardownResource({})") == {}
    await host.assert_nothing_amiss()
