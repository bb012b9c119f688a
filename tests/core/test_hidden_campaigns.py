"""A restricted caller never learns whether a campaign that it may not see exists."""

import pytest
from mcp import Client

from callers_mcp.access import ANONYMOUS, OPERATOR, Principal
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, MAIN_ID, A, B, C
from tests.support.fault_server import Behaviour, Exchange, FaultServer
from tests.support.lookups import failure, hosted
from tests.support.principals import Door, by_client, places_asked, someone
from tests.support.stand_in_api import settings_for


def isolating(exchange: Exchange) -> None:
    """Answer like an API with two sub-organizations, whose error messages name the sub-organization."""
    place = (exchange.request.values("x-sub-organization-id") or ["main"])[0]
    behaviour = fault.error(404, f"not in {place}") if place in ("main", A, B) else fault.error(403, f"no {place} here")
    behaviour(exchange)


async def test_a_refusal_has_the_same_text_whether_the_organization_exists_or_not(look_up: Door) -> None:
    with FaultServer(isolating) as server:
        exists, made_up = [await look_up(server, someone(A), place) for place in (B, C)]
        assert server.connections == 0
        known = [(await look_up(server, someone("*"), place)).kind for place in (B, C)]
    assert (exists.text.replace(B, "X"), exists.details) == (made_up.text.replace(C, "X"), made_up.details)
    assert known == ["not_found", "forbidden"], "this API tells them apart"


NOT_VISIBLE: dict[str, Behaviour] = {
    "404": fault.error(404, "Acme has it not"),
    "404, no JSON": fault.answer(b"<p>Acme", 404, kind="text/html"),
    "404, slowly": fault.error(404, headers=[("Retry-After", "77")]),
    "403": fault.error(403, "Acme has it"),
    "403, no JSON": fault.answer(b"<p>Acme", 403, [("Retry-After", "77")], kind="text/html"),
    "the main organization's": fault.answer(campaign(organizationId=MAIN_ID)),
    "the main organization's, in capitals": fault.answer(campaign(organizationId=f" {MAIN_ID.upper()} ")),
}


@pytest.mark.parametrize("places", [[A], [A, B]], ids=len)
async def test_a_restricted_caller_never_learns_why_a_campaign_is_not_visible(look_up: Door, places: list[str]) -> None:
    with FaultServer(*NOT_VISIBLE.values()) as server:
        outcomes = {
            why: await look_up(server, someone(*places), A, organization_id=MAIN_ID.title()) for why in NOT_VISIBLE
        }
    assert len(server.requests) == len(NOT_VISIBLE)
    first, *others = outcomes.values()
    assert first.kind == "not_found"
    assert first.details["http_status"] is None
    assert others == [first] * len(others), outcomes
    assert "Acme" not in first.text


async def test_the_whole_answer_is_the_same_byte_for_byte_except_the_request_id() -> None:
    dumps = set()
    with FaultServer(*NOT_VISIBLE.values()) as server:
        async with Client(hosted(settings_for(server), someone(A))) as client:
            for _ in NOT_VISIBLE:
                result = await client.call_tool("get_campaign", {"campaign_id": ID})
                dumps.add(result.model_dump_json().replace(failure(result)["request_id"], "ID"))
    assert len(server.requests) == len(NOT_VISIBLE)
    assert len(dumps) == 1


@pytest.mark.parametrize(
    ("caller", "settings"),
    [
        (someone("main", A), {}),
        (someone("*"), {"sub_organizations": f"main,{A}"}),
        (ANONYMOUS, {"sub_organizations": f"main,{A}"}),
    ],
)
async def test_a_restricted_caller_gets_the_same_error_from_the_main_organization(
    look_up: Door, caller: Principal, settings: dict[str, str]
) -> None:
    with FaultServer(fault.error(403, "Acme"), fault.error(404, "Acme")) as server:
        forbidden, not_found = [await look_up(server, caller, **settings) for _ in range(2)]
    assert forbidden == not_found
    assert not_found.kind == "not_found"
    assert "Acme" not in not_found.text


@pytest.mark.parametrize(
    ("caller", "settings", "kind"),
    [
        (someone(A), {"organization_id": MAIN_ID}, "not_found"),
        (someone("*"), {"organization_id": MAIN_ID, "sub_organizations": A}, "not_found"),
        (OPERATOR, {"organization_id": MAIN_ID, "sub_organizations": A}, "not_found"),
        (someone("main", A), {"organization_id": MAIN_ID}, "found"),
        (someone("*"), {"organization_id": MAIN_ID}, "found"),
        (someone(A), {"organization_id": B}, "found"),
        (someone(A), {}, "found"),
    ],
)
async def test_a_campaign_of_the_main_organization_reaches_only_callers_that_may_see_it(
    server: FaultServer, look_up: Door, caller: Principal, settings: dict[str, str], kind: str
) -> None:
    server.script(fault.answer(campaign(organizationId=MAIN_ID)))
    outcome = await look_up(server, caller, A, **settings)
    assert outcome.kind == kind
    assert "Spring renewals" not in outcome.text
    assert kind == "found" or f"is visible in sub-organization {A}." in outcome.text
    assert places_asked(server) == [[A]]


@pytest.mark.parametrize("odd", [[MAIN_ID], {"$oid": MAIN_ID}, f"ObjectId('{MAIN_ID.upper()}')"], ids=repr)
async def test_a_campaign_that_names_the_main_organization_in_another_form_is_hidden(
    server: FaultServer, odd: object
) -> None:
    server.script(fault.answer(campaign(organizationId=odd)))
    assert (await by_client(server, someone(A), organization_id=MAIN_ID)).kind == "not_found"


@pytest.mark.parametrize("odd", [None, 7, [A], {"id": A}, A], ids=repr)
async def test_a_campaign_without_the_main_organizations_id_is_not_hidden(server: FaultServer, odd: object) -> None:
    server.script(fault.answer(campaign(organizationId=odd)))
    assert (await by_client(server, someone(A), organization_id=MAIN_ID)).kind == "found"


@pytest.mark.parametrize(("caller", "settings"), [(someone("*"), {}), (OPERATOR, {"sub_organizations": A})])
async def test_an_unrestricted_caller_gets_the_apis_own_message(
    look_up: Door, caller: Principal, settings: dict[str, str]
) -> None:
    answers = {status: fault.error(status, "Acme has it not") for status in (400, 403, 404)}
    with FaultServer(*answers.values()) as server:
        outcomes = [await look_up(server, caller, A, **settings) for _ in answers]
    assert [outcome.kind for outcome in outcomes] == ["rejected", "forbidden", "not_found"]
    for status, outcome in zip(answers, outcomes, strict=True):
        assert f"({status})" in outcome.text
        assert 'It says: "Acme has it not".' in outcome.text
        assert outcome.details["http_status"] == status


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 408, 409, 410, 422, 429, 500, 501, 503])
async def test_the_apis_own_message_never_reaches_a_restricted_caller(server: FaultServer, status: int) -> None:
    server.script(fault.error(status, "Acme has it"))
    async with Client(hosted(settings_for(server), someone("main", A))) as client:
        result = await client.call_tool("get_campaign", {"campaign_id": ID})
    assert result.is_error
    assert "Acme" not in result.model_dump_json()
    assert len(server.requests) == 1
