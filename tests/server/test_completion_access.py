"""Completion by organization: what each caller is offered, when nothing is, and how the API is spared."""

import logging
import re
from typing import Any

import pytest
from mcp.client.client import ConnectMode
from mcp_types import PromptReference, ResourceTemplateReference

from callers_mcp.access import Principal
from callers_mcp.api.errors import RateLimited
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, ID, A, B, C
from tests.support.fault_server import FaultServer
from tests.support.key_leaks import WALK, secret_parts
from tests.support.mcp_features import (
    CAMPAIGN,
    COMPARE,
    IN_SUB_ORGANIZATION,
    MODES,
    REVIEW,
    connect,
    kind,
    meant,
    numbered,
    offered,
    refused,
)
from tests.support.principals import someone
from tests.support.stand_in_api import holding


def steps(text: str) -> list[str]:
    return [text[:end] for end in range(1, len(text) + 1)]


@pytest.mark.parametrize("ref", [REVIEW, IN_SUB_ORGANIZATION], ids=["prompt", "template"])
async def test_the_organization_that_was_filled_in_before_is_the_one_that_is_searched(
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
async def test_only_the_callers_own_sub_organizations_are_offered_and_nothing_is_sent(
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


async def test_of_many_sub_organizations_a_hundred_are_offered() -> None:
    places = [f"{number:024x}" for number in range(150)]
    with FaultServer(fault.answer([])) as server:
        async with connect(server, caller=someone(*places)) as client:
            completed = await client.complete(REVIEW, {"name": "sub_organization_id", "value": ""})
    assert completed.completion.values == places[:100]
    assert (completed.completion.total, completed.completion.has_more) == (150, True)


@pytest.mark.parametrize("mode", MODES)
async def test_an_unknown_reference_is_an_error_and_an_unknown_argument_is_offered_nothing(
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


async def test_a_list_that_fails_gives_no_completions_and_no_error() -> None:
    with FaultServer() as server:
        async with connect(server, list_cache_seconds=0, list_max_body_bytes=1_048_576) as client:
            for name, (behaviour, _) in WALK.items():
                server.script(behaviour)
                for ref in (REVIEW, CAMPAIGN):
                    completed = await client.complete(ref, {"name": "campaign", "value": "spring"})
                    assert completed.completion.model_dump() == {"values": [], "total": 0, "has_more": False}, name
                    assert not secret_parts(completed.model_dump_json()), name


async def test_an_organization_that_can_not_be_listed_gives_no_completions() -> None:
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
        ({"organization_id": CAMPAIGN_OWNER_ID}, True),
        ({"organization_id": None, "sub_organization_id": A}, True),
        ({"organization_id": None, "sub_organizations": f"main,{A}"}, True),
    ],
    ids=repr,
)
async def test_completion_is_a_capability_only_if_campaigns_can_be_listed(
    mode: ConnectMode, settings: dict[str, Any], can_list: bool
) -> None:
    with FaultServer(fault.answer([])) as server:
        async with connect(server, mode, **settings) as client:
            assert (client.server_capabilities.completions is not None) == can_list
            if not can_list:
                error = await refused(client.complete(REVIEW, {"name": "campaign", "value": ""}))
                assert error.code == -32601
        assert server.connections == 0


async def test_many_keystrokes_are_one_request_unless_the_cache_is_off() -> None:
    typed = ["", *steps("Spring renewals")]
    with FaultServer() as server:
        for seconds, requests in ((60, 1), (0, len(typed))):
            server.script(holding(campaign()))
            async with connect(server, list_cache_seconds=seconds) as client:
                values = [await offered(client, one) for one in typed]
            assert values == [[f"{ID} Spring renewals"]] * len(typed)
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


async def test_a_caller_is_offered_only_campaigns_of_their_own_organization() -> None:
    own, leaked = campaign(id=numbered(7), organizationId=A), campaign(organizationId=CAMPAIGN_OWNER_ID)
    with FaultServer(holding(leaked, **{A: [leaked, own], B: [leaked]})) as server:
        async with connect(server, caller=someone(A)) as client:
            for ref in (REVIEW, CAMPAIGN, IN_SUB_ORGANIZATION):
                (value,) = await offered(client, "spring", ref)
                assert numbered(7) in value
                for place in (B, "main", C):
                    assert await offered(client, "spring", ref, sub_organization_id=place) == []
        assert {tuple(request.values("x-sub-organization-id")) for request in server.requests} == {(A,)}


async def test_a_sub_organizations_campaigns_are_offered_only_there() -> None:
    berlin = campaign(id=numbered(1), name="Berlin appointments", organizationId=A)
    with FaultServer(holding(campaign(), **{A: [berlin]})) as server:
        async with connect(server) as client:
            (value,) = await offered(client, "Berlin", sub_organization_id=A)
            (uri,) = await meant(client, value, sub_organization_id=A)
            assert await offered(client, "Berlin") == []
    assert uri == f"callers://sub-organizations/{A}/campaigns/{numbered(1)}"


@pytest.mark.parametrize("mode", MODES)
async def test_a_bug_is_answered_with_a_reference_to_the_log_and_without_pythons_words(
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
