"""What a caller may see of organizations, campaigns and the API's messages, through the client and through MCP."""

import json

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from callers_mcp import CallersClient, create_server
from callers_mcp.access import UNRESTRICTED, AllowedOrganizations, Principal
from callers_mcp.api.errors import CallersError
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, SAMPLES, SUB_ORGANIZATION_ID, Sandbox
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, MAIN_ID, A, B, C
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, found, hosted
from tests.support.principals import Door, by_client, by_mcp, places_asked, someone
from tests.support.stand_in_api import settings_for


@pytest.mark.parametrize(
    ("places", "scope"),
    [
        ([], AllowedOrganizations(main=False, sub_organizations=frozenset())),
        (["main"], AllowedOrganizations(main=True, sub_organizations=frozenset())),
        (["MAIN", A], AllowedOrganizations(main=True, sub_organizations=frozenset({A}))),
        ([A, B, A], AllowedOrganizations(main=False, sub_organizations=frozenset({A, B}))),
        (["*"], UNRESTRICTED),
        ([A, "*"], UNRESTRICTED),
        (
            ["", " ", "a b", " main", "* ", "\u2603", "x\n", "x" * 129],
            AllowedOrganizations(main=False, sub_organizations=frozenset()),
        ),
        (["a b", A], AllowedOrganizations(main=False, sub_organizations=frozenset({A}))),
        (["**"], AllowedOrganizations(main=False, sub_organizations=frozenset({"**"}))),
    ],
)
def test_a_grant_is_parsed_and_text_that_is_not_an_id_grants_nothing(
    places: list[str], scope: AllowedOrganizations
) -> None:
    assert AllowedOrganizations.parse(places) == scope
    assert (AllowedOrganizations.parse(places) == UNRESTRICTED) == ("*" in places)


@pytest.mark.parametrize(
    ("places", "settings", "looked_into"),
    [
        (["*"], {}, []),
        (["*"], {"sub_organization_id": A}, [A]),
        (["main"], {"sub_organization_id": A}, []),
        (["main", B], {"sub_organization_id": A}, []),
        (["main", A], {"sub_organization_id": A}, [A]),
        (["main", A], {"sub_organization_id": "main"}, []),
        (["main", A], {}, []),
        ([A], {}, [A]),
        (["eu:west/1!"], {}, ["eu:west/1!"]),
        (["*"], {"sub_organization_id": "eu:west/1!"}, ["eu:west/1!"]),
        (["*"], {"sub_organizations": "eu:west/1!"}, ["eu:west/1!"]),
        ([A], {"sub_organization_id": B}, [A]),
        ([A, B], {"sub_organization_id": B}, [B]),
        (["*"], {"sub_organizations": A}, [A]),
        (["*"], {"sub_organizations": f"{A},main"}, []),
        ([A, B], {"sub_organizations": f"{B},main"}, [B]),
        (["main", A, B], {"sub_organizations": f"{B},{C}"}, [B]),
    ],
)
async def test_a_call_that_names_no_organization_looks_into_one_that_the_caller_may_see(
    server: FaultServer, look_up: Door, places: list[str], settings: dict[str, str], looked_into: list[str]
) -> None:
    assert (await look_up(server, someone(*places), **settings)).kind == "found"
    assert places_asked(server) == [looked_into]


@pytest.mark.parametrize(
    ("places", "settings", "own"),
    [
        ([A, B], {}, [A, B]),
        ([A, B], {"sub_organization_id": C}, [A, B]),
        ([A, B], {"sub_organization_id": "main"}, [A, B]),
        (["*"], {"sub_organizations": f"{A},{B}"}, [A, B]),
        (["main", A, B], {"sub_organizations": f"{A},{B},{C}"}, [A, B]),
        ([A], {"sub_organizations": B}, []),
        ([], {}, []),
        ([], {"sub_organization_id": C}, []),
    ],
)
async def test_a_call_that_has_to_name_an_organization_lists_only_those_of_the_caller(
    server: FaultServer, look_up: Door, places: list[str], settings: dict[str, str], own: list[str]
) -> None:
    outcome = await look_up(server, someone(*places), **settings)
    assert (outcome.kind, outcome.details["retryable"]) == ("forbidden", False)
    assert [place for place in (A, B, C) if place in outcome.text] == own
    assert server.connections == 0


@pytest.mark.parametrize(
    ("places", "settings", "named"),
    [
        (["*"], {}, B),
        (["*"], {"sub_organizations": f"{A},main"}, A),
        (["main"], {}, "main"),
        (["main", A], {}, "Main"),
        (["main", A], {}, A),
        ([A, B], {}, B),
        ([A, B], {"sub_organizations": B}, B),
    ],
)
async def test_a_caller_can_look_into_each_of_its_organizations(
    server: FaultServer, places: list[str], settings: dict[str, str], named: str
) -> None:
    assert (await by_mcp(server, someone(*places), named, **settings)).kind == "found"
    assert places_asked(server) == [[] if named.lower() == "main" else [named]]


@pytest.mark.parametrize(
    ("places", "settings", "named", "own"),
    [
        ([A], {}, B, [A]),
        ([A], {}, "main", [A]),
        ([A], {}, A.upper(), [A]),
        (["main"], {}, A, ["main"]),
        (["main", A], {}, B, ["main", A]),
        ([A], {"sub_organization_id": B}, B, [A]),
        ([A], {"sub_organization_id": "main"}, "main", [A]),
        (["*"], {"sub_organizations": A}, B, [A]),
        (["*"], {"sub_organizations": A}, "main", [A]),
        ([A, B], {"sub_organizations": f"{A},{C},main"}, B, [A]),
        ([A, B], {"sub_organizations": f"{A},{C},main"}, C, [A]),
        ([], {}, A, []),
        ([], {}, "main", []),
    ],
)
async def test_other_organizations_are_refused_before_any_request(
    server: FaultServer, look_up: Door, places: list[str], settings: dict[str, str], named: str, own: list[str]
) -> None:
    outcome = await look_up(server, someone(*places), named, **settings)
    assert (outcome.kind, outcome.details["retryable"]) == ("forbidden", False)
    others = {place for place in (A, B, C) if place in outcome.text.replace(f"sub-organization {named}", "")}
    assert others == {*own} - {"main"}
    assert server.connections == 0


async def test_a_shared_request_gives_each_caller_only_what_it_may_see(server: FaultServer) -> None:
    seen: dict[str, str] = {}
    callers = {"all": someone("*"), "main": someone("main", A), "part": someone(A), "none": someone(B)}

    async def ask(name: str, client: CallersClient) -> None:
        try:
            await client.get_campaign(ID, sub_organization_id=A)
            seen[name] = "found"
        except CallersError as error:
            seen[name] = error.message

    async def ask_all() -> None:
        async with CallersClient(settings_for(server)) as client, anyio.create_task_group() as tasks:
            for name, caller in callers.items():
                tasks.start_soon(ask, name, client.on_behalf_of(caller))

    server.script(fault.answer(campaign(organizationId=MAIN_ID)))
    await ask_all()
    assert len(server.requests) == 1
    assert (seen["all"], seen["main"]) == ("found", "found")
    assert seen["part"].startswith(f"No campaign {ID} is visible")
    assert "may not look into" in seen["none"]
    hidden = seen["part"]

    server.script(fault.error(403, "Acme has it"))
    await ask_all()
    assert len(server.requests) == 1
    assert "Acme has it" in seen["all"]
    assert seen["main"] == seen["part"] == hidden


async def test_a_server_limits_each_caller_to_its_organizations(server: FaultServer) -> None:
    asking: list[Principal] = []
    settings = settings_for(server)
    shared = create_server(settings, client=CallersClient(settings), get_principal=lambda ctx: asking[-1])
    arguments = {"campaign_id": ID, "sub_organization_id": B}
    results = []
    async with Client(shared) as client:
        for caller in (someone(A), someone("*"), someone(B), someone()):
            asking.append(caller)
            results.append(await client.call_tool("get_campaign", arguments))
    assert [result.is_error for result in results] == [True, False, False, True]
    assert places_asked(server) == [[B], [B]]


async def test_a_call_without_a_known_caller_gets_nothing(server: FaultServer) -> None:
    def without_caller(ctx: object) -> Principal:
        raise PermissionError("no caller")

    settings = settings_for(server)
    async with Client(create_server(settings, client=CallersClient(settings), get_principal=without_caller)) as client:
        with pytest.raises(MCPError):
            await client.call_tool("get_campaign", {"campaign_id": ID})
    assert server.connections == 0


async def test_a_long_list_of_organizations_is_truncated(server: FaultServer) -> None:
    places = [f"{number:024x}" for number in range(200)]
    outcome = await by_client(server, someone(*places), A)
    assert sum(place in outcome.text for place in places) == 20
    assert "and 180 more" in outcome.text


@pytest.mark.parametrize("hosted_for_many", [False, True])
async def test_a_list_of_tools_for_several_callers_must_not_be_cached_for_all(
    server: FaultServer, hosted_for_many: bool
) -> None:
    settings = settings_for(server)
    async with Client(hosted(settings, someone(A)) if hosted_for_many else create_server(settings)) as client:
        listed = json.loads((await client.list_tools()).model_dump_json(by_alias=True))
    assert listed["cacheScope"] == ("private" if hosted_for_many else "public")


async def test_the_sandbox_hides_its_main_organization_from_a_caller_without_access(sandbox: Sandbox) -> None:
    for campaign_id, (place, make) in SAMPLES.items():
        assert make()["organizationId"] == (place or ORGANIZATION_ID)
        settings = settings_for(sandbox, api_key=API_KEY, organization_id=ORGANIZATION_ID)
        async with Client(hosted(settings, someone(SUB_ORGANIZATION_ID))) as client:
            result = await client.call_tool("get_campaign", {"campaign_id": campaign_id})
        if place:
            assert found(result)["id"] == campaign_id
        else:
            assert failure(result)["kind"] == "not_found"
