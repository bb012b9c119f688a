"""The card and hostile content: none of it runs, leaves the page, hides anything or freezes the page."""

import json
import time
from typing import Any

import pytest

from callers_mcp.sanitize import escape_invisible
from tests.support import fault_server as fault
from tests.support.campaigns import LISTS, STRING_FIELDS, Json, campaign, replaced, summary_of
from tests.support.card_browser import Error, Host, expect
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.hostile_names import MARKUP

pytestmark = pytest.mark.parts

# Elements and attributes that the card itself never makes.
FOREIGN = (
    "document.querySelectorAll('img, iframe, object, article script, a, [onerror], [onload], [src], [href]').length"
)


async def _assert_harmless(host: Host) -> None:
    assert await host.frame.evaluate("window.planted ?? null") is None
    assert await host.frame.evaluate(FOREIGN) == 0
    host.assert_calm()


@pytest.mark.parametrize("text", MARKUP)
async def test_html_in_any_field_stays_text(host: Host, text: str) -> None:
    body = campaign()
    for path in STRING_FIELDS:
        if path != "id":
            body = replaced(path, [text, text] if path in LISTS else text, body)
    body |= {text: {text: [text]}}
    with FaultServer(fault.answer(body)) as api:
        async with host.at(api):
            card = await host.look_up(ID)
            await expect(card.locator("h1")).to_have_text(text)
            await card.get_by_text("Raw JSON", exact=True).click()
            await expect(card.locator(".rawbox")).to_contain_text(json.dumps(text, ensure_ascii=False))
            await _assert_harmless(host)


@pytest.mark.parametrize("text", MARKUP)
async def test_html_in_any_part_of_a_forged_answer_stays_text(host: Host, text: str) -> None:
    summary: Json = dict.fromkeys(summary_of(campaign()), text)
    listed = ("attention", "worth_checking", "approved_countries", "outbound_phone_numbers", "webhook_hosts")
    summary |= {name: [text] * 3 for name in listed}
    summary |= {"schedule": {"days": [text], "timezone": text, "local_time": text}, "group": {"id": text, "name": text}}
    card = await host.show({"summary": summary, "raw": {"variables": [text]}})
    await expect(card.locator(".alert.warning li").first).to_have_text(text)
    await _assert_harmless(host)
    host.stand_in = [{"isError": True, "content": [{"type": "text", "text": text}]}]
    await host.notify("ui/notifications/tool-input", {"arguments": {"campaign_id": text}})
    await card.get_by_role("button", name="Refresh").click()
    await expect(card.locator(".notice")).to_have_text(f"Not refreshed: {text}")
    await host.notify("ui/notifications/tool-cancelled", {"reason": text})
    await expect(card.locator(".notice")).to_contain_text(f"cancelled: {text}")
    await host.notify("ui/notifications/tool-result", {"isError": True, "content": [{"type": "text", "text": text}]})
    await expect(card.locator(".said.headline")).to_have_text(text)
    await host.notify("ui/notifications/tool-result", {"content": [{"type": "text", "text": f'x\nName: "{text}"'}]})
    await expect(card.locator("h1")).to_have_text(text)
    await _assert_harmless(host)


async def test_a_script_that_still_gets_in_is_blocked(host: Host) -> None:
    await host.show({"summary": {"name": "A"}, "raw": {}})
    await host.frame.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.planted = 1";
            document.body.append(script);
            const planted = "<p id=p style='color: red' onclick='window.planted = 1'>x</p>";
            document.body.insertAdjacentHTML("beforeend", planted);
            document.getElementById("p").click();
        }"""
    )
    assert await host.frame.evaluate("window.planted ?? null") is None
    blocked = [said for said in host.complaints if "Content Security Policy" in said]
    assert len(blocked) == len(host.complaints) == 3
    with pytest.raises(Error, match="Failed to fetch"):
        await host.frame.evaluate("fetch('https://elsewhere.example/')")
    assert host.requests == []


async def test_invisible_characters_are_shown_as_escapes_as_in_the_text_for_the_model(host: Host) -> None:
    joiners_and_selectors = (0x200C, 0x200D, 0xFE0E, 0xFE0F)  # the card has no rules on their neighbours
    everything = "".join(
        chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and code not in joiners_and_selectors
    )
    raw = {"everything": everything, "flag": "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "hidden": "a\u202e\u200bb\U000e0041"}
    card = await host.show({"summary": {"name": "A\u202eB\u200b", "attention": ["\U000e0041!"]}, "raw": raw})
    await expect(card.locator("h1")).to_have_text("A\\u202eB\\u200b")
    await expect(card.locator(".alert li")).to_have_text("\\udb40\\udc41!")
    await card.get_by_text("Raw JSON", exact=True).click()
    shown = await card.locator(".rawbox").evaluate("box => box.textContent")
    lines = json.dumps(raw, indent=2, ensure_ascii=False).split("\n")
    assert shown == "\n".join(map(escape_invisible, lines))


async def test_numbers_keep_their_digits(host: Host) -> None:
    texts = ("Running campaign.\nStatus: running", '{"id":"a","big":9007199254740993,"small":1.10}')
    card = await host.show({"summary": {"name": "A"}, "raw": {"id": "a", "big": 9007199254740992}}, *texts)
    await card.get_by_text("Raw JSON", exact=True).click()
    await expect(card.locator(".rawbox")).to_contain_text('"big": 9007199254740993')
    await expect(card.locator(".rawbox")).to_contain_text('"small": 1.10')


HUGE: dict[str, Any] = {
    "many": {"variables": [f"variable{number}" for number in range(50_000)]},
    "one line": {"note": "call me " * 130_000},
}


@pytest.mark.parametrize("kind", HUGE)
async def test_a_megabyte_of_raw_json_does_not_freeze_the_page(host: Host, kind: str) -> None:
    structured = {"summary": {"name": "Huge", "variable_count": 50_000}, "raw": HUGE[kind]}
    card = await host.show(structured, width=400)
    await expect(card.locator(".rawbox > *")).to_have_count(0)  # until it is opened
    started = time.monotonic()
    await card.get_by_text("Raw JSON", exact=True).click()
    await card.locator(".rawbox > *").last.scroll_into_view_if_needed()
    assert await card.locator(".rawbox").evaluate("box => box.textContent") == json.dumps(HUGE[kind], indent=2)
    assert time.monotonic() - started < PATIENCE  # it takes milliseconds, and minutes if all of it is laid out
    host.assert_calm()
