"""Lists of campaigns show each caller only what it may see, even if they are shared, cached or paged."""

import json

import pytest
from mcp import Client

from callers_mcp import CallersClient, create_server
from callers_mcp.api.errors import (
    Forbidden,
)
from tests.support import fault_server as fault
from tests.support.campaign_lists import (
    LISTED_BY_PLACE,
    campaigns,
    find,
    names_of,
    page,
    rows_of,
)
from tests.support.constants import ID, MAIN_ID, A, B, C
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, hosted
from tests.support.principals import someone
from tests.support.stand_in_api import api_client, settings_for


async def test_a_restricted_caller_never_learns_why_a_list_is_not_visible() -> None:
    refusals = [
        fault.error(404, "Acme has none"),
        fault.error(403, "Acme has some"),
        fault.error(403, "Acme", [("Retry-After", "77")]),
        fault.answer(b"<p>Acme", 404, kind="text/html"),
    ]
    dumps = set()
    with FaultServer(*refusals, fault.error(400, "Acme has it")) as server:
        async with Client(hosted(settings_for(server), someone("main", A))) as client:
            for _ in refusals:
                result = await find(client, sub_organization_id=A)
                dumps.add(result.model_dump_json().replace(failure(result)["request_id"], "ID"))
            rejected = await find(client, sub_organization_id=A)
    assert len(server.requests) == len(refusals) + 1
    assert len(dumps) == 1, dumps
    assert f"No campaigns are visible in sub-organization {A}." in dumps.pop()
    assert failure(rejected)["kind"] == "rejected"
    assert "Acme" not in rejected.model_dump_json()


@pytest.mark.parametrize("keep", [60, 0], ids=["kept", "not kept"])
async def test_each_list_checks_the_callers_access_even_after_another_caller(keep: float) -> None:
    with FaultServer(LISTED_BY_PLACE) as server:
        async with api_client(server, list_cache_seconds=keep) as client:
            assert await names_of(client, A) == [A] * 3
            assert await names_of(client) == [MAIN_ID] * 3
            for places, seen in [([A], A), ([B], B), (["main", C], MAIN_ID), ([A], A)]:
                assert await names_of(client.on_behalf_of(someone(*places))) == [seen] * 3
            sent = len(server.requests)
            outside: list[tuple[list[str], str | None]] = [([B], A), ([A], "main"), ([], A), ([], None), (["main"], A)]
            for places, named in outside:
                with pytest.raises(Forbidden, match="nothing was sent"):
                    await rows_of(client.on_behalf_of(someone(*places)), named)
            assert len(server.requests) == sent == (3 if keep else 6)


async def test_each_page_checks_the_callers_access_again() -> None:
    asking = [someone(A)]
    with FaultServer(LISTED_BY_PLACE) as server:
        settings = settings_for(server)
        shared = create_server(settings, client=CallersClient(settings), get_principal=lambda ctx: asking[-1])
        async with Client(shared) as client:
            first = page(await find(client, limit=1, sub_organization_id=A))
            asking.append(someone(B))
            refused = await find(client, limit=1, sub_organization_id=A, cursor=first["next_cursor"])
            asking.append(someone(A))
            second = page(await find(client, limit=1, sub_organization_id=A, cursor=first["next_cursor"]))
    assert failure(refused)["kind"] == "forbidden"
    assert A not in json.dumps(refused.structured_content)
    assert second["campaigns"] != first["campaigns"]
    assert len(server.requests) == 1


async def test_campaigns_of_the_main_organization_are_hidden_from_callers_without_access_even_if_cached() -> None:
    ours = campaigns(2, organizationId=A) + campaigns(1, organizationId=f" {MAIN_ID.upper()} ", id=ID, name="Secret")
    seen: dict[str, list[str | None]] = {}
    callers = {"all": someone("*"), "both": someone("main", A), "part": someone(A), "again": someone(A)}
    with FaultServer(fault.answer(ours)) as server:
        async with api_client(server) as client:
            for name, caller in callers.items():
                seen[name] = await names_of(client.on_behalf_of(caller), A)
        async with Client(hosted(settings_for(server), someone(A))) as through_mcp:
            found = await find(through_mcp, query="secret")
    assert seen["all"] == seen["both"] == ["Campaign 0", "Campaign 1", "Secret"]
    assert seen["part"] == seen["again"] == ["Campaign 0", "Campaign 1"]
    assert (page(found)["matched"], page(found)["total"]) == (0, 2)
    assert "Secret" not in found.model_dump_json()
    assert len(server.requests) == 2
