"""The card and the protocol of MCP Apps: what it sends to its host, and how it handles any message from it."""

from typing import Any

import pytest

from callers_mcp import __version__
from callers_mcp.sandbox import SAMPLES
from tests.support.campaigns import Json, campaign, summary_of
from tests.support.card_browser import Host, expect, until_true
from tests.support.constants import ID

pytestmark = pytest.mark.parts
SAMPLE_ID, *_ = SAMPLES
STRUCTURED: Json = {"summary": summary_of(campaign()), "raw": campaign()}


async def test_the_card_starts_as_the_protocol_says(host: Host) -> None:
    await host.look_up(SAMPLE_ID)
    (initialize,) = await host.received("ui/initialize")
    assert initialize["protocolVersion"] == "2026-01-26"
    assert initialize["appInfo"]["version"] == __version__
    assert set(initialize["appCapabilities"]) == {"availableDisplayModes"}
    methods = await host.page.evaluate("host.received.map(message => message.method)")
    assert methods[:2] == ["ui/initialize", "ui/notifications/initialized"]
    assert await host.page.evaluate("host.received.every(message => message.jsonrpc === '2.0')")


async def test_the_card_answers_ping_and_teardown_and_refuses_unknown_methods(host: Host) -> None:
    await host.look_up(SAMPLE_ID)
    for method in ("ping", "ui/resource-teardown"):
        assert (await host.ask(method))["result"] == {}
    for method in ("tools/list", "constructor", "__proto__"):
        assert (await host.ask(method))["error"]["code"] == -32601
    await host.notify("notifications/unknown", {})
    host.assert_calm()


async def test_the_frame_becomes_as_high_as_the_card(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await until_true(host.page, "host.frame.offsetHeight > 500")
    sizes = await host.received("ui/notifications/size-changed")
    assert sizes[-1]["width"] == 760
    await card.get_by_text("Raw JSON").click()
    await until_true(host.page, "before => host.frame.offsetHeight > before + 200", sizes[-1]["height"])
    await until_true(host.frame, "document.documentElement.scrollHeight <= innerHeight")


BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
DARK, LIGHT = "rgb(27, 29, 33)", "rgb(255, 255, 255)"


async def test_the_theme_is_the_host_s_and_changes_live(host: Host) -> None:
    await host.look_up(SAMPLE_ID, context={"theme": "dark"})
    assert await host.frame.evaluate(BACKGROUND) == DARK
    await host.notify("ui/notifications/host-context-changed", {"theme": "light"})
    await until_true(host.frame, f"{BACKGROUND} === '{LIGHT}'")
    await host.notify("ui/notifications/host-context-changed", {"theme": "sepia"})
    assert (await host.ask("ping"))["result"] == {}
    assert await host.frame.evaluate(BACKGROUND) == LIGHT


@pytest.mark.parametrize(("scheme", "background"), [("dark", DARK), ("light", LIGHT)])
async def test_without_a_theme_the_user_s_preference_decides(host: Host, scheme: Any, background: str) -> None:
    await host.page.emulate_media(color_scheme=scheme)
    await host.look_up(SAMPLE_ID)
    assert await host.frame.evaluate(BACKGROUND) == background


async def test_the_host_s_variables_are_used_and_change_live(host: Host) -> None:
    variables = {
        "--color-background-primary": "rgb(1, 2, 3)",
        "--color-text-primary": "light-dark(rgb(4, 5, 6), rgb(7, 8, 9))",
        "--font-sans": "Georgia, serif",
        "color": "red",
        "--color-ring-primary": None,
    }
    context = {"theme": "dark", "styles": {"variables": variables}, "safeAreaInsets": {"top": 7, "left": "x"}}
    await host.look_up(SAMPLE_ID, context=context)
    style = "getComputedStyle(document.body)"
    assert await host.frame.evaluate(BACKGROUND) == "rgb(1, 2, 3)"
    assert await host.frame.evaluate(f"[{style}.color, {style}.fontFamily]") == ["rgb(7, 8, 9)", "Georgia, serif"]
    assert await host.frame.evaluate(f"[{style}.paddingTop, {style}.paddingLeft]") == ["7px", "0px"]
    changed = {"styles": {"variables": {"--color-background-primary": "rgb(9, 9, 9)"}}}
    await host.notify("ui/notifications/host-context-changed", changed)
    await until_true(host.frame, f"{BACKGROUND} === 'rgb(9, 9, 9)'")
    host.assert_calm()


async def test_a_host_s_variable_that_names_a_url_loads_nothing(host: Host) -> None:
    planted = {f"--{name}": "url(https://elsewhere.example/x)" for name in ("color-background-primary", "font-sans")}
    await host.look_up(SAMPLE_ID, context={"styles": {"variables": planted, "css": {"fonts": "@import '//elsewhere'"}}})
    host.assert_calm()


async def test_times_are_shown_in_the_time_zone_and_format_of_the_user(host: Host) -> None:
    card = await host.show(STRUCTURED, context={"timeZone": "Asia/Tokyo", "locale": "en-US"})
    await expect(card.locator(".asof")).to_have_text("As of Nov 5, 2026, 09:00 PM GMT+9")
    await host.notify("ui/notifications/host-context-changed", {"timeZone": "Europe/London", "locale": "en-GB"})
    await expect(card.locator(".asof")).to_have_text("As of 5 Nov 2026, 12:00 GMT")
    for odd in ({"timeZone": "Mars/Base"}, {"locale": "en-!"}, {"locale": "de-DE"}, {"timeZone": 7, "locale": []}):
        await host.notify("ui/notifications/host-context-changed", odd)
    await expect(card.locator(".asof")).to_contain_text("5 Nov 2026")
    host.assert_calm()


async def test_a_date_without_a_time_is_the_same_date_in_every_time_zone(host: Host) -> None:
    summary = {"first_interaction_at": "2026-11-02", "as_of": "2026-11-05T12:00:00Z"}
    card = await host.show({"summary": summary, "raw": {}}, context={"timeZone": "America/Los_Angeles"})
    await expect(card.locator(".track time").first).to_have_text("2 Nov 2026")


async def test_no_motion_if_the_user_prefers_none(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    refresh = card.get_by_role("button", name="Refresh")
    await refresh.evaluate("node => node.classList.add('spinning')")
    name = "node => getComputedStyle(node.querySelector('svg')).animationName"
    assert await refresh.evaluate(name) == "spin"
    await host.page.emulate_media(reduced_motion="reduce")
    assert await refresh.evaluate(name) == "none"


async def test_messages_from_other_windows_than_the_host_are_ignored(host: Host) -> None:
    card = await host.show(STRUCTURED)
    planted = {
        "jsonrpc": "2.0",
        "method": "ui/notifications/tool-result",
        "params": {"content": [], "structuredContent": {"summary": {"name": "Planted"}, "raw": {}}},
    }
    await host.page.evaluate(
        """message => new Promise(resolve => {
            const other = document.createElement("iframe");
            other.setAttribute("sandbox", "allow-scripts");
            addEventListener("message", ({source}) => source === other.contentWindow && resolve());
            other.srcdoc = `<script>parent.frames[0].postMessage(${JSON.stringify(message)}, "*");
                parent.postMessage("posted", "*")</script>`;
            document.body.append(other);
        })""",
        planted,
    )
    await host.frame.evaluate("message => window.postMessage(message, '*')", planted)
    await host.frame.evaluate("new Promise(resolve => setTimeout(resolve, 0))")
    assert (await host.ask("ping"))["result"] == {}
    await expect(card.locator("h1")).to_have_text("Spring renewals")
    await host.page.evaluate("message => host.post(message)", planted)  # which the host may say
    await expect(card.locator("h1")).to_have_text("Planted")


async def test_until_there_is_an_answer_the_card_shows_what_it_waits_for(host: Host) -> None:
    card = await host.open(silent=True)
    await expect(card.locator("h1")).to_have_text("Waiting for the campaign…")
    await host.notify("ui/notifications/tool-input-partial", {"arguments": {"campaign_id": "66"}})
    await expect(card.locator("h1")).to_have_text("Looking up a campaign…")
    await host.notify("ui/notifications/tool-input", {"arguments": {"campaign_id": ID}})
    await expect(card.locator("h1")).to_have_text(f"Looking up campaign {ID}…")
    await host.notify("ui/notifications/tool-cancelled", {"reason": "The user <i>stopped</i> it."})
    await expect(card.locator("article")).to_contain_text("The user <i>stopped</i> it.")


async def test_a_host_that_refuses_is_reported_and_may_still_show_a_result(host: Host) -> None:
    card = await host.show(STRUCTURED, refuse=True)
    await expect(card.locator("h1")).to_have_text("Spring renewals")
    card = await host.open(silent=True, refuse=True)
    await expect(card.locator(".notice")).to_contain_text("no such protocol")


async def test_without_a_host_the_card_explains_how_to_show_a_campaign(host: Host) -> None:
    await host.page.goto(f"{host.url}/card.html")
    await expect(host.page.locator("article")).to_contain_text("callers-mcp get ID --html FILE")


async def test_an_error_result_is_shown_and_can_be_tried_again(host: Host) -> None:
    card = await host.look_up("0" * 24)
    await expect(card.locator(".pill")).to_have_text("Failed")
    await expect(card.locator("article")).to_contain_text(f"No campaign {'0' * 24} is visible in the main organization")
    host.stand_in = [{"content": [], "structuredContent": STRUCTURED}]
    await card.get_by_role("button", name="Refresh").click()
    await expect(card.locator("h1")).to_have_text("Spring renewals")


async def test_if_the_host_passes_on_only_the_text_the_text_is_drawn(host: Host) -> None:
    assert host.client
    result = await host.client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})
    texts = [block.text for block in result.content if block.type == "text"]
    card = await host.show(None, *texts)
    await expect(card.locator("h1")).to_have_text("Sample: Spring renewals")
    await expect(card.locator(".pill")).to_have_text("Status: Running")
    await expect(card.locator("article")).to_contain_text(
        "Calling days: Monday, Tuesday, Wednesday, Thursday and Friday"
    )
    await card.get_by_text("Raw JSON").click()
    await expect(card.locator(".rawbox")).to_contain_text('"daysOfWeek": [')
    assert await card.locator("article > div").filter(has_text='{"id"').count() == 0


@pytest.mark.parametrize(
    ("structured", "texts"),
    [
        (None, []),
        ({}, ["Only words."]),
        ([], []),
        ("text", []),
        (7, ["{not json"]),
        ({"summary": None, "raw": None}, []),
        ({"summary": [], "raw": {"name": "Only raw"}}, []),
        ({"summary": {"name": "Only a summary"}}, []),
        ({"summary": {"status": "constructor", "name": {"a": 1}}, "raw": 7}, []),
    ],
)
async def test_the_card_is_never_blank_whatever_a_result_lacks(host: Host, structured: Any, texts: list[str]) -> None:
    card = await host.show(structured, *texts)
    assert len(await card.locator("article h1").inner_text()) > 3
    for text in texts:
        await expect(card.locator("article")).to_contain_text(text)
    host.assert_calm()


ODD: list[Any] = [None, 7, -1.5, True, "", "x", [], [[]], ["a", None, 3, {}], {}, {"a": {"b": []}}, "9" * 40]


async def test_unexpected_types_in_any_field_do_not_break_the_card(host: Host) -> None:
    card = await host.show(STRUCTURED)
    await card.get_by_text("Raw JSON").click()
    for number, odd in enumerate(ODD):
        summary = dict.fromkeys(STRUCTURED["summary"], odd) | {"name": f"Odd {number}"}
        await _show_next(host, {"summary": summary, "raw": dict.fromkeys(STRUCTURED["raw"], odd)}, odd)
        await expect(card.locator("h1")).to_have_text(f"Odd {number}")
        await expect(card.locator(".rawbox")).to_contain_text('"callParams": ')
        schedule = dict.fromkeys(STRUCTURED["summary"]["schedule"], odd)
        inner = {"name": f"Odder {number}", "schedule": schedule, "group": {"id": odd, "name": odd}}
        await _show_next(host, {"summary": inner, "raw": odd}, odd)
        await expect(card.locator("h1")).to_have_text(f"Odder {number}")
    host.assert_calm()


async def _show_next(host: Host, structured: Json, content: Any) -> None:
    await host.notify("ui/notifications/tool-result", {"content": content, "structuredContent": structured})
