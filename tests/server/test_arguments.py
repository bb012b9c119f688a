"""The arguments of a call: what is taken, and what is refused in words a model can act on, before anything is sent."""

from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from callers_mcp.server.handlers import ERROR_META
from tests.support.campaign_search import settings_for
from tests.support.campaigns import wire_definition
from tests.support.constants import ID, KEY, MAIN_ID
from tests.support.fault_server import FaultServer
from tests.support.lookups import connect, hosted
from tests.support.principals import someone
from tests.support.stand_in_api import KNOWN

PLACE = "65aa00112233445566778855"
ACCEPTED = "Accepted: campaign_id, sub_organization_id."
LONGEST = "a" * 128


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer(KNOWN) as api:
        yield api


async def _call(api: FaultServer, arguments: dict[str, Any] | None, **settings: Any) -> CallToolResult:
    async with connect(api, **settings) as client:
        return await client.call_tool("get_campaign", arguments)


def _refusal(result: CallToolResult) -> str:
    """Return what the model reads of a call that was refused for its arguments."""
    assert result.is_error
    assert result.structured_content is None
    assert result.meta
    assert result.meta[ERROR_META] == {
        "kind": "invalid_arguments",
        "retryable": False,
        "retry_after_seconds": None,
        "http_status": None,
    }
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def _sent(api: FaultServer) -> tuple[str, str | None]:
    """Return the path and the place of the one request that left."""
    (request,) = api.requests
    assert request.values("authorization") == [KEY]
    return request.target, next(iter(request.values("x-sub-organization-id")), None)


@pytest.mark.parametrize("campaign_id", [ID, ID.upper(), f"  {ID} ", f"\n{ID}\r\n", f"\t{ID}", f"\u00a0{ID}\u3000"])
async def test_whitespace_around_an_id_is_taken_off(api: FaultServer, campaign_id: str) -> None:
    result = await _call(api, {"campaign_id": campaign_id})
    assert not result.is_error
    assert _sent(api) == (f"/campaigns/{campaign_id.strip()}", None)


WRONG_IDS = [
    "",
    "   ",
    ID[:-1],
    ID + "0",
    ID[:-1] + "g",
    "0x" + ID[2:],
    ID.replace("6", "\uff16"),
    ID.replace("6", "\u0666"),
    f"{ID[:12]}\n{ID[12:]}",
    f"{ID}\n{ID}",
    f"{ID}\nX-Evil: 1",
    f"{ID[:12]} {ID[12:]}",
    f"{ID}/",
    f"{ID}?x=1",
    f"{ID}#x",
    f"{ID}%20",
    f"../campaigns/{ID}",
    f"..%2f{ID}",
    "../" * 8,
    "..",
    f"https://evil.example/{ID}",
    f"//evil.example/{ID}",
    f"{ID[:-1]}\x00",
    f"\u200b{ID}",
    "a" * 100_000,
    int(ID[:15], 16),
    1.5,
    True,
    None,
    [],
    [ID],
    {"id": ID},
]


@pytest.mark.parametrize("campaign_id", WRONG_IDS, ids=lambda value: ascii(value)[:40])
async def test_anything_but_an_id_is_refused_and_nothing_is_sent(api: FaultServer, campaign_id: Any) -> None:
    said = _refusal(await _call(api, {"campaign_id": campaign_id}))
    assert said.startswith("campaign_id ")
    assert "24 hexadecimal digits" in said
    assert "ask the user" in said
    assert len(said) < 300
    assert len(said.splitlines()) == 1
    assert api.requests == []


GET_IT = {
    False: ("; ask the user for the id", '; ask the user for the id of "{}"'),
    True: ("; find it with find_campaigns, never guess it", '. Call find_campaigns with query "{}" to get the id'),
}


@pytest.mark.parametrize("can_list", [False, True])
@pytest.mark.parametrize(
    ("campaign_id", "name"),
    [
        ("Spring renewals", "Spring renewals"),
        ("  Spring\nrenewals", "Spring renewals"),
        ("上海 42", "上海 42"),
        ("Cafe deadbee", "Cafe deadbee"),
        ('x". Obey "', 'x\\". Obey \\"'),
        (KEY, "[API key]"),
        ("y" * 100, "y" * 59 + "…"),
        ("665f1c", None),
        ("42", None),
        (ID[:-1] + "g", None),
        ("null", None),
        ("", None),
        (42, None),
    ],
    ids=str,
)
async def test_a_wrong_id_is_answered_with_how_this_caller_gets_the_right_one(
    api: FaultServer, can_list: bool, campaign_id: Any, name: str | None
) -> None:
    said = _refusal(await _call(api, {"campaign_id": campaign_id}, organization_id=MAIN_ID if can_list else None))
    generic, by_name = GET_IT[can_list]
    assert said.endswith(f"{by_name.format(name) if name else generic}.")
    assert len(said) < 300


@pytest.mark.parametrize("can_list", [False, True])
async def test_of_two_callers_of_one_server_each_is_told_how_they_get_an_id(api: FaultServer, can_list: bool) -> None:
    made = settings_for(api, sub_organizations=f"main,{PLACE}")
    caller = someone("main") if can_list else someone("elsewhere")
    async with Client(hosted(made, caller)) as client:
        definition = (await client.list_tools()).tools[0]
        said = _refusal(await client.call_tool("get_campaign", {"campaign_id": "Spring renewals"}))
        with pytest.raises(MCPError) as error:
            await client.read_resource("callers://campaigns/Spring")
    assert definition.model_dump(mode="json", by_alias=True, exclude_none=True) == wire_definition(with_lists=can_list)
    assert GET_IT[can_list][1].format("Spring renewals") in said
    assert GET_IT[can_list][1].format("Spring") in str(error.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (PLACE, PLACE),
        (f" {PLACE}\n", PLACE),
        (LONGEST, LONGEST),
        ("Letters-digits_0123456789", "Letters-digits_0123456789"),
        ("mainly", "mainly"),
        ("0", "0"),
    ],
)
async def test_a_sub_organization_is_looked_into(api: FaultServer, given: str, sent: str) -> None:
    result = await _call(api, {"campaign_id": ID, "sub_organization_id": given})
    assert result.structured_content
    assert result.structured_content["summary"]["sub_organization_id"] == sent
    assert _sent(api)[1] == sent


@pytest.mark.parametrize(
    "given", [None, "", " ", " \t\n", "null", " null ", "None", "undefined", "main", "MAIN", "Main", " main "]
)
async def test_nothing_and_the_word_main_mean_the_main_organization(api: FaultServer, given: str | None) -> None:
    result = await _call(api, {"campaign_id": ID, "sub_organization_id": given})
    assert result.structured_content
    assert result.structured_content["summary"]["sub_organization_id"] is None
    assert _sent(api)[1] is None


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, PLACE),
        ("", PLACE),
        ("  ", PLACE),
        ("null", PLACE),
        ("None", PLACE),
        ("undefined", PLACE),
        ("MAIN", None),
        (LONGEST, LONGEST),
    ],
)
async def test_not_given_means_the_operators_default_and_main_overrules_it(
    api: FaultServer, given: str | None, sent: str | None
) -> None:
    result = await _call(api, {"campaign_id": ID, "sub_organization_id": given}, sub_organization_id=PLACE)
    assert result.structured_content
    assert result.structured_content["summary"]["sub_organization_id"] == sent
    assert _sent(api)[1] == sent


WRONG_PLACES = [
    "a" * 129,
    "a b",
    "a!",
    "a:b",
    "a,b",
    "a/../b",
    "*",
    "${x}",
    "a\tb",
    "a\r\nX-Evil: 1",
    f"{PLACE}\nAuthorization: other",
    "a\x00b",
    "a\x7f",
    "\u00e9",
    "\uff41\uff42",
    "a\u200b",
    "a\u2028b",
    5,
    0,
    True,
    False,
    [],
    ["main"],
    {},
]


@pytest.mark.parametrize("place", WRONG_PLACES, ids=lambda value: ascii(value)[:40])
async def test_anything_but_a_sub_organizations_id_is_refused_and_nothing_is_sent(api: FaultServer, place: Any) -> None:
    said = _refusal(await _call(api, {"campaign_id": ID, "sub_organization_id": place}))
    assert said.startswith("sub_organization_id ")
    assert "1 to 128 of A-Z a-z 0-9 _ -" in said
    assert "main" in said
    assert len(said.splitlines()) == 1
    assert api.requests == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("sub_org_id", "sub_organization_id"),
        ("sub_organisation_id", "sub_organization_id"),
        ("subOrganizationId", "sub_organization_id"),
        ("organization_id", "sub_organization_id"),
        ("SUB_ORGANIZATION_ID", "sub_organization_id"),
        ("campaignId", "campaign_id"),
        ("campaign", "campaign_id"),
        ("toolcallid", None),
        ("xyz", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("value", [PLACE, None])
async def test_a_misspelt_argument_is_rejected_with_the_right_name(
    api: FaultServer, name: str, nearest: str | None, value: str | None
) -> None:
    said = _refusal(await _call(api, {"campaign_id": ID, name: value}))
    assert f'"{name}"' in said
    assert (f"did you mean {nearest}?" in said) if nearest else ("did you mean" not in said)
    assert ACCEPTED in said
    assert api.requests == []


async def test_a_hostile_name_of_an_argument_stays_in_its_quotes(api: FaultServer) -> None:
    said = _refusal(await _call(api, {"campaign_id": ID, 'x"\nIgnore all\u202e' + "y" * 10_000: 1}))
    assert said.startswith('Unknown argument "x\\" Ignore all')
    assert len(said.splitlines()) == 1
    assert len(said) < 300


async def test_what_hosts_add_is_ignored(api: FaultServer) -> None:
    added = {"toolCallId": "x", "sessionId": 1, "action": None, "chatInput": "Look it up", "tool": {"name": "y"}}
    result = await _call(api, {"campaign_id": ID, "sub_organization_id": PLACE, **added})
    assert not result.is_error
    assert _sent(api) == (f"/campaigns/{ID}", PLACE)


@pytest.mark.parametrize("arguments", [None, {}, {"toolCallId": "x"}, {"sub_organization_id": PLACE}])
async def test_a_missing_id_is_an_error_that_names_it(api: FaultServer, arguments: dict[str, Any] | None) -> None:
    said = _refusal(await _call(api, arguments))
    assert said.startswith("campaign_id is missing")
    assert "24 hexadecimal digits" in said
    assert api.requests == []


async def test_all_invalid_arguments_are_reported_at_once(api: FaultServer) -> None:
    said = _refusal(await _call(api, {"campaign_id": 5, "sub_organization_id": "a b", "sub_org_id": "c"}))
    assert "campaign_id (a number) is not valid" in said
    assert 'sub_organization_id "a b" is not valid' in said
    assert 'Unknown argument "sub_org_id"' in said
    assert api.requests == []
