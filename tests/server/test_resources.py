"""Campaigns and the card as resources, in every version of MCP: what the tool has, its errors, and its scope."""

import json
import re
from urllib.parse import quote

import pytest
from mcp.client.client import ConnectMode
from mcp_types import ReadResourceRequest, ReadResourceRequestParams, ReadResourceResult, TextContent

from callers_mcp.sandbox import SUB_ORGANIZATION_ID, Sandbox
from callers_mcp.server.card import CARD_URI
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID, KEY, MAIN_ID, A, B
from tests.support.fault_server import FaultServer
from tests.support.key_leaks import WALK, secret_parts
from tests.support.lookups import call, failure, found, told
from tests.support.mcp_features import MODES, connect, kind, read, refused
from tests.support.principals import someone
from tests.support.stand_in_api import holding

URI = f"callers://campaigns/{ID}"
NOTHING_TO_LOAD: dict[str, list[str]] = {"connectDomains": [], "resourceDomains": []}
CARD_META = {"ui": {"csp": NOTHING_TO_LOAD, "permissions": {"clipboardWrite": {}}, "prefersBorder": True}}
NOT_FOUND = {"auto": -32602, "legacy": -32002}
AGAIN = fault.error(503, headers=[("Retry-After", "0")])


@pytest.mark.parametrize("mode", MODES)
async def test_two_templates_and_the_card_are_all_there_is(sandbox: Sandbox, mode: ConnectMode) -> None:
    async with connect(sandbox, mode) as client:
        templates = (await client.list_resource_templates()).resource_templates
        (card,) = (await client.list_resources()).resources
    assert {template.uri_template: template.mime_type for template in templates} == {
        "callers://campaigns/{campaign_id}": "application/json",
        "callers://sub-organizations/{sub_organization_id}/campaigns/{campaign_id}": "application/json",
    }
    assert (card.uri, card.mime_type, card.meta) == (CARD_URI, "text/html;profile=mcp-app", CARD_META)
    assert all(template.title and template.description for template in templates)
    assert card.title
    assert card.description


@pytest.mark.parametrize("mode", MODES)
async def test_the_card_is_one_html_document_that_a_host_may_keep(sandbox: Sandbox, mode: ConnectMode) -> None:
    async with connect(sandbox, mode) as client:
        card = await read(client, CARD_URI)
        result = await client.read_resource(CARD_URI, cache_mode="bypass")
    assert (card.mime_type, card.meta) == ("text/html;profile=mcp-app", CARD_META)
    assert card.text.startswith("<!doctype html>")
    assert card.text.endswith("</html>\n")
    assert len(re.findall("(?i)<html", card.text)) == 1
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import""", card.text), "it needs no network"
    assert mode == "legacy" or (result.ttl_ms > 0, result.cache_scope) == (True, "public")


@pytest.mark.parametrize("mode", MODES)
async def test_a_campaign_is_byte_for_byte_the_tools_raw_json(mode: ConnectMode) -> None:
    odd = campaign(name="\u202eI\u0307 \u2603\n\"'\\ \U0001f600", new={"nested": [1.5, None, 10**30], "\u200b": ""})
    with FaultServer(holding(odd)) as server:
        async with connect(server, mode) as client:
            result = await call(client)
            contents = await read(client, URI)
    text = result.content[1]
    assert isinstance(text, TextContent)
    assert (contents.text, contents.mime_type) == (text.text, "application/json")
    assert json.loads(contents.text) == found(result) == odd


SEEN = f"sub-organizations/{{}}/campaigns/{ID}".format
PLACES = {
    URI: None,
    URI.replace(ID, ID.upper()): None,
    URI.replace("callers", "CALLERS"): None,
    f"callers://{SEEN('main')}": None,
    f"callers://{SEEN('MAIN')}": None,
    f"callers://{SEEN('66a0c0')}": "66a0c0",
    f"callers://{SEEN('Ab-c_D')}": "Ab-c_D",
    f"callers://{SEEN('x' * 128)}": "x" * 128,
    f"callers://{SEEN('%41')}".replace("/665f", "/%3665f"): "A",
}


async def test_a_campaigns_uri_leads_to_the_organization_that_it_names() -> None:
    with FaultServer(fault.answer(campaign())) as server:
        async with connect(server) as client:
            for uri in PLACES:
                assert json.loads((await read(client, uri)).text)["id"] == ID
        asked = [request.values("x-sub-organization-id") for request in server.requests]
        targets = {request.target.lower() for request in server.requests}
    assert dict(zip(PLACES, asked, strict=True)) == {uri: [place] if place else [] for uri, place in PLACES.items()}
    assert targets == {f"/campaigns/{ID}"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_sub_organizations_campaign_is_read_only_there(sandbox: Sandbox, mode: ConnectMode) -> None:
    inside, there = "665f1c2ab1e4a9d0c7f3b806", f"callers://sub-organizations/{SUB_ORGANIZATION_ID}"
    async with connect(sandbox, mode) as client:
        contents = await read(client, f"{there}/campaigns/{inside}")
        error = await refused(client.read_resource(f"callers://campaigns/{inside}"))
    assert json.loads(contents.text)["organizationId"] == SUB_ORGANIZATION_ID
    assert (error.code, kind(error)) == (NOT_FOUND[mode], "not_found")


NO_RESOURCE = [
    "",
    " ",
    "callers:",
    "callers://",
    "callers://campaigns",
    "callers://campaigns/",
    "callers:/campaigns/" + ID,
    "callers:campaigns/" + ID,
    f" {URI}",
    f"{URI}/",
    f"{URI}?",
    f"{URI}?organizationId=1",
    f"{URI}#raw",
    f"{URI}/../{ID}",
    f"callers://campaigns/../campaigns/{ID}",
    f"callers://user@campaigns/{ID}",
    f"callers://campaigns:80/{ID}",
    f"callers://campaign/{ID}",
    f"callers://x/campaigns/{ID}",
    f"callers://sub-organizations/campaigns/{ID}",
    f"callers://sub-organizations//campaigns/{ID}",
    f"callers://sub-organizations/null/campaigns/{ID}",
    f"callers://sub-organizations/%20undefined/campaigns/{ID}",
    f"callers://sub-organizations/a/b/campaigns/{ID}",
    f"callers://sub-organizations/a?b/campaigns/{ID}",
    f"callers://sub-organizations/a/campaigns/{ID}/{ID}",
    f"callers%3A//campaigns/{ID}",
    f"http://campaigns/{ID}",
    f"https://api.callers.ai/campaigns/{ID}",
    "file:///etc/passwd",
    "ui://callers/",
    f"{CARD_URI}/",
    f"{CARD_URI}?x",
    "ui://callers/../callers/campaign-card",
]
WRONG_ID = [
    "callers://campaigns/x",
    "callers://campaigns/..",
    "callers://campaigns/%2e%2e%2fcampaigns",
    f"callers://campaigns/..%2Fcampaigns%2F{ID}",
    f"callers://campaigns/{ID}%2F..",
    f"callers://campaigns/{ID}%3Fx=1",
    f"callers://campaigns/{ID}%23",
    f"callers://campaigns/{ID}%00",
    f"callers://campaigns/{ID}%0D%0AX-Evil:%201",
    f"callers://campaigns/{ID}0",
    f"callers://campaigns/{ID[:-1]}",
    f"callers://campaigns/{ID[:-1]}\uff12",
    f"callers://campaigns/{ID[:-1]}%D9%A2",
    "callers://campaigns/{campaign_id}",
    "callers://campaigns/%ff",
    f"callers://sub-organizations/a%20b/campaigns/{ID}",
    f"callers://sub-organizations/%0D%0AX-Evil:%201/campaigns/{ID}",
    f"callers://sub-organizations/%E2%98%83/campaigns/{ID}",
    f"callers://sub-organizations/{'x' * 129}/campaigns/{ID}",
    *(
        f"callers://{SEEN(quote(odd, safe=''))}"
        for odd in ("A~b.c", "a/b", "a%2Fb", "..", "../campaigns", "?x#y", "%", "+", "{}", "@$&'()*,;=:")
    ),
]


@pytest.mark.parametrize("mode", MODES)
async def test_any_other_uri_is_refused_and_nothing_is_sent(mode: ConnectMode) -> None:
    with FaultServer(fault.answer(campaign())) as server:
        async with connect(server, mode) as client:
            errors = {uri: await refused(client.read_resource(uri)) for uri in [*NO_RESOURCE, *WRONG_ID]}
        assert server.connections == 0
    told_apart = {uri: (error.code, kind(error)) for uri, error in errors.items()}
    assert told_apart == dict.fromkeys(NO_RESOURCE, (NOT_FOUND[mode], "not_found")) | dict.fromkeys(
        WRONG_ID, (-32602, "invalid_arguments")
    )
    assert all(len(error.message.splitlines()) == 1 for error in errors.values())
    assert all("callers://campaigns/{campaign_id}" in errors[uri].message for uri in NO_RESOURCE)


async def test_a_uri_that_names_a_blank_sub_organization_does_not_lead_elsewhere() -> None:
    with FaultServer(fault.answer(campaign())) as server:
        async with connect(server) as client:
            for blank in ("%20", "%09", "%20%0A"):
                error = await refused(client.read_resource(f"callers://sub-organizations/{blank}/campaigns/{ID}"))
                assert error.code == -32602
        assert server.connections == 0


async def test_a_huge_uri_is_refused_in_a_few_words() -> None:
    huge = ("x" * 1_000_000, "callers://campaigns/" + "a" * 1_000_000, f"callers://{'%2e' * 300_000}")
    with FaultServer(fault.answer(campaign())) as server:
        async with connect(server, "legacy") as client:
            errors = [await refused(client.read_resource(uri)) for uri in huge]
        assert server.connections == 0
    assert [error.code for error in errors] == [-32002, -32602, -32002]
    assert max(len(error.message) for error in errors) < 300
    assert max(len(error.model_dump_json()) for error in errors) < 5_000


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("mode", MODES)
async def test_every_failure_has_the_message_and_kind_of_the_tool_and_never_the_key(mode: ConnectMode) -> None:
    codes = {"not_found": NOT_FOUND[mode]}
    with FaultServer() as server:
        async with connect(server, mode, max_attempts=2) as client:
            for name, (behaviour, expected) in WALK.items():
                server.script(behaviour)
                error = await refused(client.read_resource(URI))
                assert server.requests[0].values("authorization") == [KEY]
                server.script(behaviour)
                by_tool = await call(client)
                assert (error.message, error.data["callers-mcp/error"]) == (told(by_tool), failure(by_tool)), name
                assert (kind(error), error.code) == (expected, codes.get(expected, -32603)), name
                assert error.data["uri"] == URI
                assert not secret_parts(error.model_dump_json()), name


async def test_a_failure_before_any_request_has_the_message_of_the_tool_too() -> None:
    with FaultServer(fault.answer(campaign())) as server:
        for given, expected in (
            ({"api_key": None}, "not_configured"),
            ({"sub_organizations": f"{A},{B}"}, "forbidden"),
        ):
            async with connect(server, **given) as client:
                error, by_tool = await refused(client.read_resource(URI)), await call(client)
            assert (error.code, kind(error), error.message) == (-32603, expected, told(by_tool))
        assert server.connections == 0


async def test_a_key_that_is_taken_for_an_id_is_not_repeated() -> None:
    with FaultServer(fault.error(404)) as server:
        async with connect(server) as client:
            for uri in (
                f"callers://campaigns/{KEY}",
                f"callers://sub-organizations/{KEY}/campaigns/{ID}",
                f"{KEY}://",
                # A quotation of these ends inside the key.
                f"callers://campaigns/{'x' * 270}{KEY}",
                f"callers://sub-organizations/{'x%20' * 22}{KEY}/campaigns/{ID}",
            ):
                error = await refused(client.read_resource(uri))
                assert not secret_parts(error.model_dump_json())


async def test_urls_are_redacted_if_the_operator_sets_it() -> None:
    secret = campaign(webhooks=["https://hooks.example.com/in?token=s3cret"], slackUrl="https://slack.example/s3cret")
    with FaultServer(holding(secret)) as server:
        for redact in (True, False):
            async with connect(server, redact_urls=redact) as client:
                contents, result = await read(client, URI), await call(client)
            assert ("s3cret" in contents.text) is not redact
            assert "hooks.example.com" in contents.text
            assert json.loads(contents.text) == found(result)


@pytest.mark.parametrize("mode", MODES)
async def test_a_retry_is_reported_as_progress_with_its_reason(mode: ConnectMode) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    request = ReadResourceRequest(params=ReadResourceRequestParams(uri=URI))
    with FaultServer(AGAIN, AGAIN, fault.answer(campaign())) as server:
        async with connect(server, mode, max_attempts=3) as client:
            result = await client.session.send_request(request, ReadResourceResult, progress_callback=hear)
    assert [contents.uri for contents in result.contents] == [URI]
    assert [progress for progress, _ in heard] == [1, 2]
    assert all(message and "503" in message for _, message in heard)


async def test_a_host_keeps_the_lists_and_the_card_but_never_a_campaign() -> None:
    with FaultServer(holding(campaign())) as server:
        for caller, scope in ((None, "public"), (someone("*"), "private")):
            server.script(holding(campaign()))
            async with connect(server, caller=caller) as client:
                for listed in (await client.list_resources(), await client.list_resource_templates()):
                    assert (listed.ttl_ms, listed.cache_scope) == (3_600_000, scope)
                results = [await client.read_resource(URI) for _ in range(3)]
            assert {(result.ttl_ms, result.cache_scope) for result in results} == {(0, "private")}
            assert len(server.requests) == 3


@pytest.mark.parametrize("mode", MODES)
async def test_a_caller_without_access_gets_nothing_and_nothing_is_sent(mode: ConnectMode) -> None:
    there = f"callers://sub-organizations/{B}/campaigns/{ID}"
    with FaultServer(fault.answer(campaign())) as server:
        for caller, uris in (
            (someone(), [URI, there, f"callers://sub-organizations/main/campaigns/{ID}"]),
            (someone(A), [there, f"callers://sub-organizations/main/campaigns/{ID}"]),
            (someone(A, B), [URI]),
            (someone("main"), [there]),
        ):
            async with connect(server, mode, caller=caller) as client:
                errors = [await refused(client.read_resource(uri)) for uri in uris]
                assert await read(client, CARD_URI), "which is not a secret"
            assert {(error.code, kind(error)) for error in errors} == {(-32603, "forbidden")}
        assert server.connections == 0


async def test_a_caller_reads_what_is_theirs_and_no_campaign_of_the_main_organization() -> None:
    with FaultServer(fault.answer(campaign(organizationId=MAIN_ID))) as server:
        async with connect(server, caller=someone("main", A), organization_id=MAIN_ID) as client:
            assert await read(client, URI)
        async with connect(server, caller=someone(A), organization_id=MAIN_ID) as client:
            error = await refused(client.read_resource(URI))
        places = [request.values("x-sub-organization-id") for request in server.requests]
    assert places == [[], [A]]
    assert (error.code, kind(error), error.data["callers-mcp/error"]["http_status"]) == (-32602, "not_found", None)
    assert "Spring renewals" not in error.model_dump_json()


@pytest.mark.parametrize("mode", MODES)
async def test_a_hosted_error_has_the_request_id_that_is_sent_to_the_api(mode: ConnectMode) -> None:
    with FaultServer(fault.error(500), fault.error(404)) as server:
        async with connect(server, mode, caller=someone("*")) as client:
            errors = [await refused(client.read_resource(uri)) for uri in (URI, URI, f"{URI}?x")]
        sent = [value for request in server.requests for value in request.values("x-request-id")]
    assert [error.data["callers-mcp/error"].get("request_id") for error in errors] == [*sent, None]
    assert [error.message.endswith(f" Request id: {one}.") for error, one in zip(errors, sent, strict=False)] == [
        True
    ] * 2
    assert "Request id" not in errors[2].message, "nothing was looked up"
