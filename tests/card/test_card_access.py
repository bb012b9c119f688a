"""The card is accessible: axe-core in every state, keyboard only, narrow and wide, any script, any length."""

import json

import pytest

from callers_mcp.sandbox import SAMPLES
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.card_browser import FrameLocator, Host, axe_finds, expect, overflow
from tests.support.constants import ID
from tests.support.fault_server import FaultServer

pytestmark = pytest.mark.parts
SAMPLE_ID, INBOUND, COMPLETED, PAUSED, WITH_PROBLEMS, INSIDE = SAMPLES
MISSING = "0" * 24


async def _open_raw(card: FrameLocator) -> None:
    await card.get_by_text("Raw JSON", exact=True).click()
    await card.locator(".rawbox span").first.wait_for()


@pytest.mark.parametrize(("theme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
async def test_axe_finds_nothing_in_any_state(host: Host, theme: str, rules: tuple[str, ...]) -> None:
    found = {}
    for campaign_id in (*SAMPLES, MISSING):
        place = SAMPLES[campaign_id][0] if campaign_id in SAMPLES else None
        card = await host.look_up(campaign_id, place, context={"theme": theme})
        if campaign_id in (SAMPLE_ID, WITH_PROBLEMS):
            await _open_raw(card)
        found[campaign_id] = await axe_finds(host.frame, *rules)
    host.stand_in = [{"isError": True, "content": []}]
    card = await host.show({"summary": {"id": ID, "name": "A"}, "raw": {}}, context={"theme": theme})
    await card.get_by_role("button", name="Refresh").click()
    await expect(card.locator(".notice")).not_to_be_empty()
    found["failed refresh"] = await axe_finds(host.frame, *rules)
    await host.open(silent=True, context={"theme": theme})
    await card.locator("h1").wait_for()
    found["waiting"] = await axe_finds(host.frame, *rules)
    await host.show(None, "Words.", context={"theme": theme})
    found["only text"] = await axe_finds(host.frame, *rules)
    assert {state: problems for state, problems in found.items() if problems} == {}


async def test_axe_would_find_something(host: Host) -> None:
    await host.look_up(SAMPLE_ID)
    await host.frame.evaluate("document.querySelector('.headline').style.color = '#eeeeee'")
    assert "color-contrast" in (await axe_finds(host.frame))[0]


@pytest.mark.parametrize("width", [280, 400, 900])
async def test_no_width_needs_to_scroll_sideways(host: Host, width: int) -> None:
    for campaign_id in (COMPLETED, WITH_PROBLEMS, MISSING):
        card = await host.look_up(campaign_id, width=width)
        if campaign_id != MISSING:
            await _open_raw(card)
        assert await overflow(host.frame) == 0
        assert await card.locator(".rawbox").evaluate("box => box.scrollWidth - box.clientWidth") == 0


WORDS_IN_PIECES = """() => {
    const broken = [], texts = document.createTreeWalker(document.querySelector(".track"), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
            const range = document.createRange();
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            if (range.getClientRects().length > 1) broken.push(word[0]);
        }
    }
    return broken;
}"""


@pytest.mark.parametrize("width", [240, 280, 320, 400])
async def test_no_word_of_the_timeline_breaks_in_a_narrow_card(host: Host, width: int) -> None:
    for campaign_id in (SAMPLE_ID, COMPLETED, WITH_PROBLEMS):
        await host.look_up(campaign_id, width=width)
        assert await host.frame.evaluate(WORDS_IN_PIECES) == []


async def test_a_wide_card_has_two_columns_and_a_narrow_one_has_one(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID, width=900)
    columns = "node => getComputedStyle(node).gridTemplateColumns.split(' ').length"
    assert await card.locator(".columns").evaluate(columns) == 2
    card = await host.look_up(SAMPLE_ID, width=400)
    assert await card.locator(".columns").evaluate(columns) == 1


FOCUSED = """() => {
    const node = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(node);
    return [node.getAttribute("aria-label") ?? node.textContent, outlineStyle !== "none" && outlineWidth === "2px"];
}"""


async def test_the_keyboard_reaches_every_control_and_shows_where_it_is(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await card.locator("details").evaluate("node => { node.open = true; }")
    await card.locator(".rawbox span").first.wait_for()
    reached = []
    for _ in range(6):
        await host.page.keyboard.press("Tab")
        reached.append(await host.frame.evaluate(FOCUSED))
    names = ["Refresh", "Copy", "Copy", "Raw JSON", "Copy JSON", "Raw JSON"]
    assert reached == [[name, True] for name in names]
    controls = "document.querySelectorAll('button:not([hidden]), summary, [tabindex=\"0\"]').length"
    assert await host.frame.evaluate(controls) == len(names)


async def test_enter_and_space_work_and_the_focus_stays(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    for key, calls in (("Enter", 2), ("Space", 3)):
        refresh = card.get_by_role("button", name="Refresh")
        await refresh.focus()
        await host.page.keyboard.press(key)
        await expect(card.get_by_role("status").filter(has_text="Refreshed")).to_have_count(1)
        await expect(refresh).to_be_focused()
        assert len(host.calls) == calls
    summary = card.locator("summary")
    await summary.focus()
    await host.page.keyboard.press("Enter")
    await expect(card.locator(".rawbox")).to_be_visible()
    await host.page.keyboard.press("Space")
    await expect(card.locator(".rawbox")).not_to_be_visible()


async def test_refresh_keeps_the_raw_json_open(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await _open_raw(card)
    await card.get_by_role("button", name="Refresh").click()
    await expect(card.get_by_role("status").filter(has_text="Refreshed")).to_have_count(1)
    await expect(card.locator(".rawbox")).to_contain_text('"name": "Sample: Spring renewals"')


NAMES = {
    "Arabic": "حملة الربيع 2026",
    "Hebrew": "קמפיין אביב (לונדון)",
    "no spaces": "N" * 300,
    "wide letters": "漢字" * 150,
    "a family": "👨‍👩‍👧‍👦 renewals 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("width", [280, 760])
async def test_a_name_in_any_script_and_length_fits_and_is_all_there(host: Host, kind: str, width: int) -> None:
    with FaultServer(
        fault.answer(campaign(name=NAMES[kind], campaignGroupName=NAMES[kind], variables=[NAMES[kind]]))
    ) as api:
        async with host.at(api):
            card = await host.look_up(ID, width=width)
            await expect(card.locator("h1")).to_have_text(NAMES[kind])
            assert await overflow(host.frame) == 0
            is_rtl = kind in ("Arabic", "Hebrew")
            direction = await card.locator("h1 bdi").evaluate("node => getComputedStyle(node).direction")
            assert direction == ("rtl" if is_rtl else "ltr")
            assert await axe_finds(host.frame) == []


async def test_a_long_name_is_truncated_until_the_user_expands_it(host: Host) -> None:
    with FaultServer(fault.answer(campaign(name="N" * 300))) as api:
        async with host.at(api):
            card = await host.look_up(ID, width=400)
            whole = card.get_by_role("button", name="Show the whole name")
            before = await card.locator("h1").evaluate("node => node.offsetHeight")
            await whole.click()
            assert await card.locator("h1").evaluate("node => node.offsetHeight") > before
            less = card.get_by_role("button", name="Shorten the name")
            await expect(less).to_have_attribute("aria-expanded", "true")
            await less.click()
            assert await card.locator("h1").evaluate("node => node.offsetHeight") == before


async def test_forced_colours_leave_status_and_days_readable(host: Host) -> None:
    await host.page.emulate_media(forced_colors="active")
    card = await host.look_up(SAMPLE_ID)
    border = "node => getComputedStyle(node).borderTopStyle + getComputedStyle(node).borderTopWidth"
    assert await card.locator(".pill").evaluate(border) == "solid1px"
    styles = [await card.locator(f".day:nth-child({day})").evaluate(border) for day in (1, 6)]
    assert styles == ["solid1px", "dashed1px"]


async def test_copy_works_if_the_frame_may_not_use_the_clipboard(host: Host) -> None:
    await host.page.context.grant_permissions(["clipboard-read"])
    card = await host.look_up(SAMPLE_ID)
    await card.get_by_role("button", name="Copy").first.click()
    await expect(card.get_by_role("status").filter(has_text="Copied the campaign’s id")).to_have_count(1)
    await expect(card.get_by_role("button", name="Copied")).to_be_focused()
    assert await host.page.evaluate("navigator.clipboard.readText()") == SAMPLE_ID
    (refused,) = host.complaints  # by the browser, as the frame was given no permission
    assert "clipboard" in refused.lower()


async def test_copy_uses_the_clipboard_if_the_frame_may(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await card.get_by_text("Raw JSON", exact=True).click()
    allow = "navigator.clipboard.writeText = async text => { window.copied = text; }"
    await host.frame.evaluate(allow)
    await card.get_by_role("button", name="Copy JSON").click()
    await expect(card.get_by_role("status").filter(has_text="Copied the raw JSON")).to_have_count(1)
    assert json.loads(await host.frame.evaluate("window.copied"))["id"] == SAMPLE_ID


async def test_a_copy_that_fails_says_so(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await host.frame.evaluate("document.execCommand = () => false")
    await card.get_by_role("button", name="Copy").first.click()
    await expect(card.get_by_role("button", name="Not copied")).to_be_visible()
