"""The card in a host: what it draws of real tool calls, and its refresh button."""

import anyio
import pytest

from callers_mcp.sandbox import SAMPLES, SUB_ORGANIZATION_ID
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.card_browser import FrameLocator, Host, expect
from tests.support.constants import ID
from tests.support.fault_server import FaultServer

pytestmark = pytest.mark.parts
SAMPLE_ID, INBOUND, COMPLETED, PAUSED, WITH_PROBLEMS, INSIDE = SAMPLES
DRAWN: dict[str, tuple[str, str, list[str], list[str]]] = {
    SAMPLE_ID: (
        "Running",
        "Running outbound campaign, first interaction 3 days ago, calls Monday to Friday",
        ["First interaction", "Now", "Completed"],
        [
            "Outbound",
            "+442071838750, +4930901820",
            "Renewals 65bb0011223344556677889a",
            "hooks.example.com",
            "renewalDate",
        ],
    ),
    INBOUND: (
        "Running",
        "Running inbound campaign, first interaction 41 days ago, active every day",
        ["First interaction", "Now", "Completed"],
        ["Inbound", "+442071838751", "On", "United Kingdom (GB), Germany (DE)"],
    ),
    COMPLETED: (
        "Completed",
        "Completed outbound campaign, ended 12 days ago, first interaction 60 days ago.",
        ["First interaction", "Completed", "Now"],
        ["American English (en-US)", "United States (US)"],
    ),
    PAUSED: (
        "New chats paused",
        "New chats paused: outbound campaign, first interaction 9 days ago",
        ["First interaction", "Now", "Completed"],
        ["Outbound"],
    ),
    WITH_PROBLEMS: (
        "Running",
        "Running outbound campaign, first interaction 2 days ago.",
        ["Completed", "First interaction", "Now"],
        ["crm.example.com, hooks.example.com"],
    ),
    INSIDE: (
        "Running",
        "Running outbound campaign, first interaction 3 days ago, calls Monday to Friday (Europe/Berlin).",
        ["First interaction", "Now", "Completed"],
        [f"Sub-organization {SUB_ORGANIZATION_ID}", "German (de)"],
    ),
}


@pytest.mark.parametrize("campaign_id", DRAWN)
async def test_a_sample_is_drawn_as_the_tool_answers(host: Host, campaign_id: str) -> None:
    status, headline, points, facts = DRAWN[campaign_id]
    place, make = SAMPLES[campaign_id]
    card = await host.look_up(campaign_id, place)
    await expect(card.locator(".pill")).to_have_text(f"Status: {status}")
    await expect(card.locator(".pill svg")).to_be_visible()
    await expect(card.locator(".headline")).to_contain_text(headline)
    await expect(card.get_by_role("heading", level=1)).to_have_text(make()["name"].replace("\u202e\n", " "))
    assert await card.locator(".track strong").all_inner_texts() == points
    shown = await card.locator("dd").all_inner_texts()
    assert all(any(fact in value for value in shown) for fact in facts), shown
    host.assert_calm()


async def test_attention_comes_before_all_else_and_apart_from_what_is_worth_checking(host: Host) -> None:
    card = await host.look_up(WITH_PROBLEMS)
    attention, checking = card.locator(".alert.warning"), card.locator(".alert.neutral")
    await expect(attention.get_by_role("heading")).to_have_text("Needs attention (4)")
    await expect(attention).to_contain_text('Its time zone "Europe/Lodnon" does not exist.')
    await expect(checking.get_by_role("heading")).to_have_text("Worth checking (3)")
    headings = await card.get_by_role("heading", level=2).all_inner_texts()
    assert headings == ["Needs attention (4)", "Worth checking (3)", "Timeline", "Calling days", "Details", "Ids"]


async def test_a_campaign_without_problems_shows_no_empty_section(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    await expect(card.locator(".alert")).to_have_count(0)


async def test_the_week_shows_the_calling_days_in_words_and_in_shapes(host: Host) -> None:
    card = await host.look_up(COMPLETED)
    words = await card.locator(".week .visually-hidden").all_inner_texts()
    assert [word.replace(", today", "") for word in words] == [
        *(f"{day}: calling day" for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")),
        "Saturday: not a calling day",
        "Sunday: not a calling day",
    ]
    assert sum(", today" in word for word in words) == await card.locator(".today").count() == 1
    shapes = [await card.locator(f".day:nth-child({day}) path").get_attribute("d") for day in (1, 6)]
    assert shapes[0] != shapes[1]
    await expect(card.locator(".below")).to_contain_text("in America/New_York · today is")
    assert await card.locator(".below b").inner_text() == await _local_time(host)


async def _local_time(host: Host) -> str:
    assert host.client
    result = await host.client.call_tool("get_campaign", {"campaign_id": COMPLETED})
    assert result.structured_content
    return str(result.structured_content["summary"]["schedule"]["local_time"])[11:16]


async def test_a_day_that_is_not_a_weekday_is_shown_too(host: Host) -> None:
    card = await host.look_up(WITH_PROBLEMS)
    await expect(card.locator(".chip.calling")).to_have_text("Feiertag")
    await expect(card.locator(".below")).to_have_text("Time zone Europe/Lodnon (no local time)")
    words = await card.locator(".week .visually-hidden").all_inner_texts()
    assert [words[0], words[5]] == ["Monday: not known", "Saturday: calling day"], "it may be any of the others"


@pytest.mark.parametrize(
    ("fields", "status", "shown"),
    [
        ({"active": False}, "Stopped", "Completedno time given"),
        ({"active": False, "firstInteractionAt": None}, "Not yet started", "First interactionnone yet"),
        ({"active": None}, "Status unknown", "Completedno time given"),
        ({"completedAt": "soon"}, "Running", "Completedcan’t be used"),
        ({"firstInteractionAt": "1970-01-01T00:00:00.000Z"}, "Running", "First interactionnone yet"),
        ({"active": False, "firstInteractionAt": "0001-01-01T00:00:00Z"}, "Not yet started", "Completednot yet"),
        ({"webhooks": "https://a.example.com/"}, "Running", "Webhooks go tonot given"),
        ({"webhooks": ["https://"]}, "Running", "Webhooks go tono valid host"),
        ({"webhooks": []}, "Running", "Webhooks go tonowhere"),
    ],
)
async def test_other_states_and_values_have_words_too(host: Host, fields: Json, status: str, shown: str) -> None:
    with FaultServer(fault.answer(campaign(**fields))) as api:
        async with host.at(api):
            card = await host.look_up(ID)
            await expect(card.locator(".pill")).to_have_text(f"Status: {status}")
            await expect(card.locator(".card")).to_contain_text(shown)


async def _refresh(card: FrameLocator) -> None:
    await card.get_by_role("button", name="Refresh").click()


async def test_refresh_calls_the_tool_again_and_shows_the_new_state(host: Host) -> None:
    with FaultServer(fault.answer(campaign())) as api:
        async with host.at(api):
            card = await host.look_up(ID, "main")
            await card.get_by_text("Raw JSON").click()
            api.script(fault.answer(campaign(pauseNewChats=True)))
            await _refresh(card)
            await expect(card.locator(".pill")).to_have_text("Status: New chats paused")
            await expect(card.locator(".rawbox")).to_contain_text('"pauseNewChats": true')
            await expect(card.get_by_role("status").filter(has_text="Refreshed")).to_have_count(1)
            assert host.calls == [{"campaign_id": ID, "sub_organization_id": "main"}] * 2
            assert len(api.requests) == 1


@pytest.mark.parametrize("campaign_id", [SAMPLE_ID, INSIDE])
async def test_refresh_takes_the_arguments_from_the_answer_if_the_host_gave_none(host: Host, campaign_id: str) -> None:
    place, _ = SAMPLES[campaign_id]
    assert host.client
    arguments = {"campaign_id": campaign_id, "sub_organization_id": place or "main"}
    result = await host.client.call_tool("get_campaign", arguments)
    card = await host.show(result.structured_content)
    await _refresh(card)
    await expect(card.get_by_role("status").filter(has_text="Refreshed")).to_have_count(1)
    assert host.calls == [arguments]


FAILING: dict[str, tuple[Json, str]] = {
    "error result": (
        {"isError": True, "content": [{"type": "text", "text": "It answers 503 <b>now</b>."}]},
        "503 <b>now</b>",
    ),
    "error of the host": ({"error": {"code": -32000, "message": "The user said no."}}, "The user said no."),
    "another campaign": (
        {"content": [], "structuredContent": {"summary": {"id": "0" * 24}, "raw": {}}},
        "another campaign",
    ),
    "nothing": ({}, "the answer is empty"),
}


@pytest.mark.parametrize("kind", FAILING)
async def test_a_refresh_that_fails_is_reported_and_keeps_the_card(host: Host, kind: str) -> None:
    answer, says = FAILING[kind]
    card = await host.look_up(SAMPLE_ID)
    before = await card.locator("article .columns").inner_text()
    host.stand_in = [answer]
    await _refresh(card)
    notice = card.locator(".notice[aria-live]")
    await expect(notice).to_contain_text(says)
    assert await card.locator("article .columns").inner_text() == before
    await _refresh(card)  # and the next may succeed
    await expect(notice).to_be_empty()


async def test_a_refresh_never_replaces_what_the_host_has_shown_since(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID)
    host.held = anyio.Event()
    await _refresh(card)
    await expect(card.get_by_role("button", name="Refreshing…")).to_have_attribute("aria-disabled", "true")
    shown = {"summary": {"id": SAMPLE_ID, "name": "Newer"}, "raw": {}}
    await host.notify("ui/notifications/tool-result", {"content": [], "structuredContent": shown})
    await expect(card.locator("h1")).to_have_text("Newer")
    host.held.set()
    await expect(card.get_by_role("button", name="Refresh", exact=True)).to_have_attribute("aria-disabled", "false")
    await expect(card.locator(".notice")).to_be_empty()
    await expect(card.locator("h1")).to_have_text("Newer")


async def test_without_a_host_that_calls_tools_there_is_no_refresh_button(host: Host) -> None:
    card = await host.look_up(SAMPLE_ID, capabilities={})
    await expect(card.get_by_role("button", name="Copy").first).to_be_visible()
    await expect(card.get_by_role("button", name="Refresh")).to_have_count(0)
