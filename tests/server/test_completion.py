"""What is offered while somebody types: what a person can read, the prompts understand, and the API is spared."""

import json
import logging
import random
import re
from typing import Any

import pytest
from mcp.client.client import ConnectMode
from mcp_types import PromptReference, ResourceTemplateReference

from callers_mcp.access import Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.sandbox import SUB_ORGANIZATION_ID, Sandbox, organization
from callers_mcp.sanitize import has_invisible
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.constants import ID, MAIN_ID, A, B, C
from tests.support.fault_server import FaultServer
from tests.support.hostile_names import HOSTILE
from tests.support.key_leaks import WALK, secret_parts
from tests.support.mcp_features import (
    CAMPAIGN,
    COMPARE,
    IN_SUB_ORGANIZATION,
    MODES,
    REVIEW,
    connect,
    holding,
    kind,
    meant,
    numbered,
    offered,
    refused,
)
from tests.support.principals import someone
from tests.support.stdio_process import Pipe

NAMES = [
    "Renewals",
    "Renewals (DE)",
    "Renewals (batch 12)",
    "Spring renewals",
    "Prerenewals",
    "(abc) Callbacks",
    "Überfällige Zahlungen",
    "続きの電話",
    "Копия «Опрос»",
    "تذكير بالموعد",
    "O'Brien & Sons: win-back [2]",
    "12",
    f"Copy ({numbered(0)})",
    "A name so long that nobody would ever read it to its end, and that is cut before it gets to it",
]
HELD = [campaign(id=numbered(at), name=name) for at, name in enumerate(NAMES)]


def label(number: int) -> str:
    return f"{NAMES[number]} ({numbered(number)})"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("ref", "argument"), [(REVIEW, "campaign"), (COMPARE, "first"), (COMPARE, "second")], ids=lambda one: str(one)
)
async def test_names_with_their_ids_are_offered_the_best_first(
    ref: PromptReference, argument: str, mode: ConnectMode
) -> None:
    with FaultServer(holding(*HELD)) as server:
        async with connect(server, mode) as client:
            values = await offered(client, "renewals", ref, argument)
            near = await offered(client, "sprin renwals", ref, argument)
            nothing = await offered(client, "zzzzzzzz", ref, argument)
    assert [values[0], *sorted(values[1:3]), *values[3:]] == [label(number) for number in range(5)]
    assert (near, nothing) == ([label(3)], [])


async def test_before_anything_is_typed_all_are_offered_by_name() -> None:
    held = [campaign(id=numbered(at), name=name) for at, name in enumerate(("beta", "Álpha", "GAMMA", "alpha"))]
    with FaultServer(holding(*held)) as server:
        async with connect(server) as client:
            for typed in ("", "  "):
                names = [value.partition(" (")[0] for value in await offered(client, typed)]
                assert sorted(names[:2]) == ["alpha", "Álpha"]
                assert names[2:] == ["beta", "GAMMA"]


@pytest.mark.parametrize("mode", MODES)
async def test_at_most_a_hundred_are_offered_and_how_many_there_are_is_said(mode: ConnectMode) -> None:
    for count, shown, more in ((150, 100, True), (101, 100, True), (100, 100, False), (1, 1, False)):
        held = [campaign(id=numbered(at), name=f"Plan {at:03}") for at in range(count)]
        with FaultServer(holding(*held, campaign(name="Other"))) as server:
            async with connect(server, mode) as client:
                completion = (await client.complete(REVIEW, {"name": "campaign", "value": "plan"})).completion
        assert (len(completion.values), completion.total, completion.has_more) == (shown, count, more)


def steps(text: str) -> list[str]:
    return [text[:end] for end in range(1, len(text) + 1)]


@pytest.mark.parametrize("number", range(len(NAMES)))
async def test_what_is_offered_stays_so_however_much_of_it_is_typed_or_taken_away(number: int) -> None:
    with FaultServer(holding(*HELD)) as server:
        async with connect(server) as client:
            (value,) = [one for one in await offered(client, "") if numbered(number) in one.rpartition("(")[2]]
            lost = [typed for typed in steps(value) if value not in await offered(client, typed)]
            assert await meant(client, value) == [f"callers://campaigns/{numbered(number)}"]
    assert lost == []


@pytest.mark.parametrize("name", [None, "", "???", "(", "—", "\u200b"])
async def test_a_campaign_without_letters_in_its_name_is_offered_and_stays_so(name: str | None) -> None:
    nameless = campaign(id="adde" + ID[4:], name=name)
    with FaultServer(holding(nameless, campaign(name="Added by hand"))) as server:
        async with connect(server) as client:
            (value,) = [one for one in await offered(client, "") if nameless["id"] in one]
            lost = [typed for typed in steps(value) if value not in await offered(client, typed)]
            assert await meant(client, value) == [f"callers://campaigns/{nameless['id']}"]
    assert lost == []


@pytest.fixture(scope="module")
def listed() -> list[Json]:
    """What the sandbox lists for its main organization."""
    campaigns: list[Json] = json.loads(organization.list_body(None, None))
    return random.Random(5).sample(campaigns, 120)


async def test_whatever_the_sandbox_offers_means_that_very_campaign(sandbox: Sandbox, listed: list[Json]) -> None:
    wrong: list[str] = []
    async with connect(sandbox) as client:
        for one in listed:
            values = await offered(client, one["name"])
            found = [value for value in values if value.endswith(f" ({one['id']})")]
            if len(found) != 1 or await meant(client, found[0]) != [f"callers://campaigns/{one['id']}"]:
                wrong.append(one["name"])
    assert wrong == []


async def test_in_the_sandbox_half_typed_and_misspelt_names_are_still_offered(
    sandbox: Sandbox, listed: list[Json]
) -> None:
    chance, wrong = random.Random(7), []
    async with connect(sandbox) as client:
        for one in listed[:30]:
            whole = f"{one['name']} ({one['id']})"
            at = chance.randrange(len(one["name"]) // 2, len(whole))
            for typed in (whole[:at], one["name"].upper(), " ".join(reversed(one["name"].split()))):
                completion = (await client.complete(REVIEW, {"name": "campaign", "value": typed})).completion
                if not completion.has_more and whole not in completion.values:
                    wrong.append(typed)
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_templates_ids_are_those_whose_id_or_name_begins_so(mode: ConnectMode) -> None:
    odd = [campaign(id=wrong, name="Renewals") for wrong in (None, "", "../x", 7, ID + "0", "665f")]
    with FaultServer(holding(*HELD, *odd)) as server:
        async with connect(server, mode) as client:
            whole = await offered(client, "", CAMPAIGN)
            for typed, numbers in {
                "renewals": [0, 2, 1],
                "RENEWALS (d": [1],
                "uber": [6],
                numbered(3): [3],
                numbered(3).upper(): [3],
                f" {numbered(3)[:10]}": [3],
                "665f0": range(len(NAMES)),
                "prerenewal": [4],
                "wals": [],
                "renewal spring": [],
                "rnewals": [],
                "(": [],
            }.items():
                assert await offered(client, typed, CAMPAIGN) == [numbered(at) for at in numbers] or typed == "665f0"
                assert set(await offered(client, typed, CAMPAIGN)) == {numbered(at) for at in numbers}, typed
    assert sorted(whole) == [numbered(at) for at in range(len(NAMES))]


@pytest.mark.parametrize("ref", [REVIEW, IN_SUB_ORGANIZATION], ids=["prompt", "template"])
async def test_the_place_that_was_filled_in_before_is_the_one_that_is_searched(
    ref: PromptReference | ResourceTemplateReference,
) -> None:
    places = {A: [campaign(id=numbered(1), name="Renewals of a")], B: [campaign(id=numbered(2), name="Renewals of b")]}
    with FaultServer(holding(campaign(name="Renewals of main"), **places)) as server:
        async with connect(server, sub_organization_id=B) as client:
            for place, expected in ((A, numbered(1)), (f" {B} ", numbered(2)), ("", numbered(2)), ("MAIN", ID)):
                (value,) = await offered(client, "renewals", ref, sub_organization_id=place)
                assert expected in value
            asked = len(server.requests)
            for wrong in ("a b", "é", "x" * 129):
                assert await offered(client, "renewals", ref, sub_organization_id=wrong) == []
            assert len(server.requests) == asked


@pytest.mark.parametrize("ref", [REVIEW, COMPARE, IN_SUB_ORGANIZATION], ids=["review", "compare", "template"])
async def test_a_sub_organization_is_offered_of_the_callers_own_and_nothing_is_sent(
    ref: PromptReference | ResourceTemplateReference,
) -> None:
    allowed: dict[str, Any] = {"sub_organizations": f"main,{B},{A}"}
    with FaultServer(fault.answer([campaign()])) as server:
        for caller, settings, typed, expected in (
            (someone("main", A, B), {}, "", ["main", A, B]),
            (someone("main", A, B), {}, A[:23].upper(), [A]),
            (someone("main", A, B), {}, " Ma", ["main"]),
            (someone("main", A, B), {}, C, []),
            (someone(A, C), allowed, "", [A]),
            (someone("*"), allowed, "", ["main", B, A]),
            (someone("*"), {}, "", []),
            (someone(), {}, "", []),
            (None, allowed, "", ["main", B, A]),
            (None, {}, "", []),
        ):
            async with connect(server, caller=caller, **settings) as client:
                assert await offered(client, typed, ref, "sub_organization_id") == expected
        assert server.connections == 0


async def test_of_many_places_a_hundred_are_offered() -> None:
    places = [f"{number:024x}" for number in range(150)]
    with FaultServer(fault.answer([])) as server:
        async with connect(server, caller=someone(*places)) as client:
            completed = await client.complete(REVIEW, {"name": "sub_organization_id", "value": ""})
    assert completed.completion.values == places[:100]
    assert (completed.completion.total, completed.completion.has_more) == (150, True)


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_not_there_can_not_be_completed_and_what_takes_nothing_is_offered_nothing(
    mode: ConnectMode,
) -> None:
    unknown: list[PromptReference | ResourceTemplateReference] = [
        PromptReference(name="get_campaign"),
        PromptReference(name=""),
        PromptReference(name="x" * 100_000),
        ResourceTemplateReference(uri="callers://campaigns/{id}"),
        ResourceTemplateReference(uri=f"callers://campaigns/{ID}"),
        ResourceTemplateReference(uri=""),
    ]
    with FaultServer(holding(campaign())) as server:
        async with connect(server, mode) as client:
            for ref in unknown:
                error = await refused(client.complete(ref, {"name": "campaign", "value": ""}))
                assert (error.code, kind(error)) == (-32602, "invalid_arguments")
                assert error.message == "There is no such prompt or resource template."
            for known, argument in ((REVIEW, "first"), (COMPARE, "campaign"), (CAMPAIGN, "campaign"), (REVIEW, "")):
                assert await offered(client, "", known, argument or "?") == []
            assert await offered(client, "", CAMPAIGN, "sub_organization_id") == []
        assert server.connections == 0


async def test_a_list_that_can_not_be_had_is_an_empty_offer_and_no_error() -> None:
    with FaultServer() as server:
        async with connect(server, list_cache_seconds=0, list_max_body_bytes=1_048_576) as client:
            for name, (behaviour, _) in WALK.items():
                server.script(behaviour)
                for ref in (REVIEW, CAMPAIGN):
                    completed = await client.complete(ref, {"name": "campaign", "value": "spring"})
                    assert completed.completion.model_dump() == {"values": [], "total": 0, "has_more": False}, name
                    assert not secret_parts(completed.model_dump_json()), name


async def test_a_place_that_can_not_be_listed_is_an_empty_offer() -> None:
    with FaultServer(holding(campaign())) as server:
        for caller, settings in (
            (None, {"sub_organization_id": A, "organization_id": None}),
            (someone("main"), {"organization_id": None}),
            (someone(), {}),
            (someone(A, B), {}),
            (None, {"api_key": None}),
        ):
            async with connect(server, caller=caller, **settings) as client:
                assert await offered(client, "spring", sub_organization_id="main" if caller is None else "") == []
        assert server.connections == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("settings", "can_list"),
    [
        ({"organization_id": None}, False),
        ({"organization_id": None, "sub_organizations": "main"}, False),
        ({"organization_id": MAIN_ID}, True),
        ({"organization_id": None, "sub_organization_id": A}, True),
        ({"organization_id": None, "sub_organizations": f"main,{A}"}, True),
    ],
    ids=repr,
)
async def test_completion_is_offered_only_where_there_is_a_list(
    mode: ConnectMode, settings: dict[str, Any], can_list: bool
) -> None:
    with FaultServer(fault.answer([])) as server:
        async with connect(server, mode, **settings) as client:
            assert (client.server_capabilities.completions is not None) == can_list
            if not can_list:
                error = await refused(client.complete(REVIEW, {"name": "campaign", "value": ""}))
                assert error.code == -32601
        assert server.connections == 0


async def test_many_keystrokes_are_one_request_unless_nothing_may_be_kept() -> None:
    typed = ["", *steps("Spring renewals (665f")]
    with FaultServer() as server:
        for seconds, requests in ((60, 1), (0, len(typed))):
            server.script(holding(campaign()))
            async with connect(server, list_cache_seconds=seconds) as client:
                values = [await offered(client, one) for one in typed]
            assert values == [[f"Spring renewals ({ID})"]] * len(typed)
            assert len(server.requests) == requests


async def test_each_keystroke_is_counted_and_one_too_many_is_offered_nothing(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    async def at_most_two(caller: Principal) -> None:
        asked.append(caller.name)
        if len(asked) > 2:
            raise RateLimited("Later.")

    held = campaign(organizationId=A)
    with FaultServer(holding(**{A: [held]})) as server, caplog.at_level(logging.INFO, "callers_mcp"):
        async with connect(server, caller=someone(A), admit=at_most_two) as client:
            values = [await offered(client, typed) for typed in steps("spri")]
        assert len(server.requests) == 1
    assert [len(one) for one in values] == [1, 1, 0, 0]
    assert asked == ["token:someone"] * 4
    outcomes = re.findall(rf"campaign=list sub_organization=(?:{A}|default) outcome=(\w+)", caplog.text)
    assert outcomes == ["found", "found", "rate_limited", "rate_limited"]


async def test_a_caller_is_offered_the_campaigns_of_their_own_place_alone() -> None:
    own, leaked = campaign(id=numbered(7), organizationId=A), campaign(organizationId=MAIN_ID)
    with FaultServer(holding(leaked, **{A: [leaked, own], B: [leaked]})) as server:
        async with connect(server, caller=someone(A)) as client:
            for ref in (REVIEW, CAMPAIGN, IN_SUB_ORGANIZATION):
                (value,) = await offered(client, "spring", ref)
                assert numbered(7) in value
                for place in (B, "main", C):
                    assert await offered(client, "spring", ref, sub_organization_id=place) == []
        assert {tuple(request.values("x-sub-organization-id")) for request in server.requests} == {(A,)}


async def test_a_sub_organizations_campaigns_are_offered_there(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        (value,) = await offered(client, "Sample: Berlin", sub_organization_id=SUB_ORGANIZATION_ID)
        (uri,) = await meant(client, value, sub_organization_id=SUB_ORGANIZATION_ID)
        assert await offered(client, "Sample: Berlin") == []
    assert uri.startswith(f"callers://sub-organizations/{SUB_ORGANIZATION_ID}/campaigns/")


async def test_a_hostile_name_is_one_line_with_nothing_hidden_in_it() -> None:
    held = [campaign(id=numbered(at), name=name) for at, name in enumerate(HOSTILE)]
    with FaultServer(holding(*held)) as server:
        async with connect(server) as client:
            values = await offered(client, "")
            uris = {uri for value in values for uri in await meant(client, value)}
    assert len(values) == len(uris) == len(HOSTILE)
    assert all(len(value.splitlines()) == 1 and len(value) < 120 for value in values)
    assert not has_invisible("".join(values))


def test_what_nobody_would_type_holds_nobody_up() -> None:
    typed = ["a" + " " * 1_000_000 + "b", "a" * 10_000_000, "(a" * 500_000, "é " * 500_000, "\u0301" * 500_000]
    with Pipe("--sandbox") as pipe:
        pipe.handshake()
        for value in typed:
            for ref in (REVIEW, CAMPAIGN):
                argument = {"name": "campaign" if ref is REVIEW else "campaign_id", "value": value}
                answer = pipe.ask("completion/complete", {"ref": ref.model_dump(), "argument": argument})
                assert answer["result"]["completion"]["values"] == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_bug_of_ours_is_a_reference_to_the_log_and_not_pythons_words(
    mode: ConnectMode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("callers_mcp.server.completion.search", fail)
    with FaultServer(holding(campaign())) as server, caplog.at_level(logging.ERROR, "callers_mcp"):
        async with connect(server, mode) as client:
            error = await refused(client.complete(REVIEW, {"name": "campaign", "value": "spring"}))
    assert (error.code, kind(error)) == (-32603, "internal")
    assert "on purpose" not in error.model_dump_json()
    reference = re.search(r"reference ([0-9a-f]{8})", error.message)
    assert reference
    assert reference[1] in caplog.text
