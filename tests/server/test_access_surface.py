"""Every way to the API that a server offers, with every organization: none leads a caller out of their own."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, PromptReference, ResourceTemplateReference

from callers_mcp.access import Principal
from callers_mcp.server.tools import load_tools
from callers_mcp.server.tools.tool import Tool
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, MAIN_ID, A, B, C
from tests.support.fault_server import Exchange, FaultServer
from tests.support.lookups import hosted
from tests.support.principals import places_asked, someone
from tests.support.stand_in_api import settings_for

TOOLS = load_tools(with_lists=True)


def known(exchange: Exchange) -> None:
    """Answer as an API that has one campaign, in every organization."""
    listed = exchange.request.target.startswith("/campaigns?")
    fault.answer([campaign()] if listed else campaign())(exchange)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(known) as server:
        yield server


# The least that each tool is called with. A new tool needs a line here, and is tested below from then on.
LEAST: dict[str, dict[str, object]] = {"get_campaign": {"campaign_id": ID}, "find_campaigns": {}}


def calls_that_name(place: str, tool: Tool[Any, Any]) -> list[dict[str, object]]:
    """Return calls of a tool that name no organization, and ``place`` in each argument, as text and in a list."""
    least = LEAST[tool.name]
    tried = [{**least, name: value} for name in tool.input_model.model_fields for value in (place, [place])]
    return [least, *tried]


def offering_all(server: FaultServer, caller: Principal) -> Any:
    """Return a server with every feature, on which each use makes a new request."""
    return hosted(settings_for(server, sub_organization_id=B, organization_id=MAIN_ID, list_cache_seconds=0), caller)


async def call_each(server: FaultServer, tool: Tool[Any, Any], caller: Principal, *places: str) -> list[CallToolResult]:
    async with Client(offering_all(server, caller)) as client:
        calls = [arguments for place in places for arguments in calls_that_name(place, tool)]
        return [await client.call_tool(tool.name, arguments) for arguments in calls]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_every_tool_refuses_a_caller_without_access_before_any_request(
    server: FaultServer, tool: Tool[Any, Any]
) -> None:
    results = await call_each(server, tool, someone(), A, B, "main", "*")
    assert all(result.is_error for result in results)
    assert server.connections == 0


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_no_tool_leads_a_caller_out_of_their_own_organization(server: FaultServer, tool: Tool[Any, Any]) -> None:
    await call_each(server, tool, someone(A), B, C, "main", "*")
    assert places_asked(server), "the call that names no organization looks into their own"
    assert all(place == [A] for place in places_asked(server))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_every_tool_leads_an_unrestricted_caller_anywhere(server: FaultServer, tool: Tool[Any, Any]) -> None:
    await call_each(server, tool, someone("*"), A, C, "main")
    assert {A, B, C} <= {place for (place,) in filter(None, places_asked(server))}
    assert [] in places_asked(server)


async def try_each_other_feature(client: Client, place: str) -> None:
    """Read each resource, get each prompt and complete each argument, with ``place`` wherever a text fits."""
    templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
    prompts = {prompt.name: prompt.arguments or [] for prompt in (await client.list_prompts()).prompts}
    tries: list[Callable[[], Awaitable[object]]] = []
    for template in templates:
        for campaign_id in (ID, place):
            uri = template.replace("{campaign_id}", campaign_id).replace("{sub_organization_id}", place)
            tries.append(partial(client.read_resource, uri))
        for name in re.findall(r"{(\w+)}", template):
            template_reference = ResourceTemplateReference(type="ref/resource", uri=template)
            tries.append(partial(complete, client, template_reference, name, place))
    for prompt, arguments in prompts.items():
        least = {argument.name: ID for argument in arguments if argument.required}
        for text in (place, "Spring", f"Spring ({ID})"):
            tries += [partial(client.get_prompt, prompt, {**least, each.name: text}) for each in arguments]
            named = dict.fromkeys(least, text)
            tries += [partial(client.get_prompt, prompt, {**named, each.name: place}) for each in arguments]
        reference = PromptReference(type="ref/prompt", name=prompt)
        tries += [partial(complete, client, reference, each.name, place) for each in arguments]
    for attempt in tries:
        with suppress(MCPError):
            await attempt()


async def complete(
    client: Client, reference: PromptReference | ResourceTemplateReference, name: str, place: str
) -> list[str]:
    values = []
    for typed in ("", place):
        for resolved in ({}, {"sub_organization_id": place}):
            answer = await client.complete(reference, {"name": name, "value": typed}, context_arguments=resolved)
            values += answer.completion.values
    return values


async def test_every_capability_is_one_that_is_tried_here(server: FaultServer) -> None:
    async with Client(offering_all(server, someone("*"))) as client:
        offered = client.server_capabilities.model_dump(exclude_none=True)
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert set(offered) == {"tools", "resources", "prompts", "completions", "extensions"}
    assert offered["extensions"] == {"io.modelcontextprotocol/ui": {}}, "a page: it makes no request by itself"
    assert names == [tool.name for tool in TOOLS]
    assert server.connections == 0


async def test_every_other_feature_refuses_a_caller_without_access_before_any_request(server: FaultServer) -> None:
    async with Client(offering_all(server, someone())) as client:
        for place in (A, B, "main", "*"):
            await try_each_other_feature(client, place)
    assert server.connections == 0


async def test_no_other_feature_leads_a_caller_out_of_their_own_organization(server: FaultServer) -> None:
    async with Client(offering_all(server, someone(A))) as client:
        for place in (B, C, "main", "*"):
            await try_each_other_feature(client, place)
    assert places_asked(server), "what names no place looks into their own"
    assert all(place == [A] for place in places_asked(server))


async def test_every_other_feature_leads_an_unrestricted_caller_anywhere(server: FaultServer) -> None:
    async with Client(offering_all(server, someone("*"))) as client:
        for place in (A, C, "main"):
            await try_each_other_feature(client, place)
    assert {A, B, C} <= {place for (place,) in filter(None, places_asked(server))}
    assert [] in places_asked(server)


async def test_a_completion_names_no_organization_but_the_callers_own(server: FaultServer) -> None:
    reference = PromptReference(type="ref/prompt", name="review_campaign")
    offered = {}
    for places in ([A], [A, "main"], ["*"], []):
        async with Client(offering_all(server, someone(*places))) as client:
            answer = await client.complete(reference, {"name": "sub_organization_id", "value": ""})
        offered[tuple(places)] = answer.completion.values
    assert offered == {(A,): [A], (A, "main"): ["main", A], ("*",): [], (): []}
