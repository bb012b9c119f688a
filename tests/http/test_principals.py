"""What the holder of a token sees of ``callers-mcp http``, and what everybody else sees."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import CAMPAIGN_OWNER_ID, KEY
from tests.support.echo_api import Hold, echo
from tests.support.fault_server import Exchange, FaultServer
from tests.support.hosted_server import HANDSHAKES, LATEST, bearer, message
from tests.support.hosted_thread import HostedThread
from tests.support.http_connection import Answer
from tests.support.stand_in_api import holding
from tests.support.team import Team
from tests.support.waiting import until

SUPPORT, SALES = "65aa00000000000000000001", "65aa00000000000000000002"
CAMPAIGNS = {None: "a" * 24, SUPPORT: "b" * 24, SALES: "c" * 24}
PLACES = {"all": ["*"], "main": ["main"], "support": [SUPPORT], "both": [SUPPORT, SALES]}
"""What each token may see, by its name."""


def organization(exchange: Exchange) -> None:
    """Answer as the API of an organization: a campaign in each place, and 403 for any other place."""
    place = next(iter(exchange.request.values("x-sub-organization-id")), None)
    campaign_id = exchange.request.target.rpartition("/")[2]
    if place not in CAMPAIGNS:
        fault.error(403, f"Unknown sub-organization {place}")(exchange)
    elif campaign_id != CAMPAIGNS[place]:
        fault.error(404, f"No campaign {campaign_id}")(exchange)
    else:
        fault.answer({"id": campaign_id, "name": "Found"})(exchange)


@dataclass
class Company:
    """A server with a public URL, which lets in holders of tokens, and its team."""

    server: HostedThread
    api: FaultServer
    team: Team

    def look_up(self, name: str, campaign_id: str, place: str | None = None, **headers: str) -> Answer:
        """Look up a campaign as the holder of the token ``name``."""
        return self.server.look_up(campaign_id, place, **bearer(self.team.tokens[name]) | headers)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with FaultServer(organization) as api:
        team = Team(tmp_path_factory.mktemp("company"), api)
        for name, places in PLACES.items():
            team.add(name, *places)
        more = {
            "CALLERS_MAX_ATTEMPTS": "1",
            "CALLERS_TIMEOUT": "600",  # longer than any wait of a test: no call ends by its deadline
            "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team/callers",
        }
        with HostedThread(environment=team.environment | more) as server:
            yield Company(server, api, team)
    assert server.exit_code == 0
    assert "Traceback" not in server.errors
    for secret in (KEY, *team.tokens.values()):
        assert secret not in server.errors
        assert secret not in team.audit_file.read_text()


@pytest.fixture
def company(shared: Company) -> Company:
    shared.api.script(organization)
    return shared


def outcome(answer: Answer) -> str:
    """Return the id of the campaign that was found, or the kind of the error."""
    result = answer.result
    if result["isError"]:
        kind: str = result["_meta"]["callers-mcp/error"]["kind"]
        return kind
    campaign_id: str = result["structuredContent"]["raw"]["id"]
    return campaign_id


def text_of(answer: Answer) -> str:
    """Return the text that the model reads, without the request id."""
    text: str = answer.result["content"][0]["text"]
    return re.sub(r" Request id: [0-9a-f]+\.", "", text)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_request_without_a_token_is_refused_with_a_challenge(company: Company, method: str) -> None:
    answer = company.server.request(method, "/team/callers")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["cache-control"] == "no-store"
    assert company.server.request("GET", "/.well-known/oauth-protected-resource").status == 404  # there is no sign-in


@pytest.mark.parametrize(
    "value",
    [
        "Bearer callers_mcp_" + "0" * 64,
        "Bearer {token}0",
        "Bearer {upper}",
        "Bearer {token} {token}",
        "Bearer {token},",
        "Bearer",
        "Bearer é",
        "Basic {token}",
        "{token}",
        "Bearer {token}\r\nAuthorization: Bearer {token}",
        "Basic x\r\nAuthorization: Bearer {token}",
    ],
)
def test_what_is_not_one_known_token_is_refused_and_not_repeated(company: Company, value: str) -> None:
    token = company.team.tokens["all"]
    given = value.format(token=token, upper=token.upper())
    answer = company.server.look_up(CAMPAIGNS[None], Authorization=given)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')
    assert token not in str(answer)
    assert company.api.requests == []


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_sdks_client_shows_why_a_request_is_refused(company: Company, mode: ConnectMode) -> None:
    headers = bearer("callers_mcp_" + "0" * 64) | {"Host": "mcp.example.com"}
    with pytest.RaisesGroup(
        pytest.RaisesExc(MCPError, match="This token is unknown or was revoked"),
        flatten_subgroups=True,
        allow_unwrapped=True,
    ):
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            Client(
                streamable_http_client(f"http://{':'.join(map(str, company.server.address))}/mcp", http_client=http),
                mode=mode,
            ),
        ):
            pass


def test_a_token_is_read_from_the_header_only(company: Company) -> None:
    with company.server.connect() as connection:
        connection.send(
            connection.head("POST", f"{connection.path}?access_token={company.team.tokens['all']}", Content_Length="0")
        )
        assert connection.answer().status == 401


@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
def test_a_cancel_notification_does_not_cancel_the_call_of_another_client_with_the_same_id(
    company: Company, version: str
) -> None:
    held, headers = Hold(), bearer(company.team.tokens["all"])
    company.api.script(held, held, echo)
    with (
        company.server.begin("a" * 24, version, **headers) as one,
        company.server.begin("b" * 24, version, **headers) as other,
    ):
        company.api.wait_for_requests(2)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        answer = company.server.post(cancel, **headers | {"MCP_Protocol_Version": version})
        assert (answer.status, answer.body) == (202, b"")
        assert outcome(company.look_up("all", "c" * 24)) == "c" * 24
        held.release.set()
        assert [outcome(connection.answer()) for connection in (one, other)] == ["a" * 24, "b" * 24]
    assert held.left == 0


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_as_http_has_it(company: Company, scheme: str) -> None:
    answer = company.look_up("all", CAMPAIGNS[None], Authorization=f"{scheme} {company.team.tokens['all']}")
    assert outcome(answer) == CAMPAIGNS[None]


@pytest.mark.parametrize(
    ("name", "place", "campaign", "comes"),
    [
        ("all", None, CAMPAIGNS[None], CAMPAIGNS[None]),
        ("all", SALES, CAMPAIGNS[SALES], CAMPAIGNS[SALES]),
        ("all", "elsewhere", CAMPAIGNS[None], "forbidden"),  # by the API
        ("main", None, CAMPAIGNS[None], CAMPAIGNS[None]),
        ("main", "MAIN", CAMPAIGNS[None], CAMPAIGNS[None]),
        ("main", SUPPORT, CAMPAIGNS[SUPPORT], "forbidden"),
        ("support", None, CAMPAIGNS[SUPPORT], CAMPAIGNS[SUPPORT]),
        ("support", SUPPORT, CAMPAIGNS[SUPPORT], CAMPAIGNS[SUPPORT]),
        ("support", "main", CAMPAIGNS[None], "forbidden"),
        ("support", SALES, CAMPAIGNS[SALES], "forbidden"),
        ("support", SUPPORT.upper(), CAMPAIGNS[SUPPORT], "forbidden"),
        ("support", None, CAMPAIGNS[SALES], "not_found"),
        ("both", SALES, CAMPAIGNS[SALES], CAMPAIGNS[SALES]),
        ("both", None, CAMPAIGNS[SALES], "forbidden"),
    ],
)
def test_a_token_sees_its_scope_and_nothing_else(
    company: Company, name: str, place: str | None, campaign: str, comes: str
) -> None:
    assert outcome(company.look_up(name, campaign, place)) == comes
    sent_to = [request.values("x-sub-organization-id") for request in company.api.requests]
    if comes == "forbidden" and name != "all":
        assert sent_to == []  # refused before any request
    else:
        sent = {None: SUPPORT if name == "support" else None, "MAIN": None}.get(place, place)
        assert sent_to == [[sent] if sent else []]


def test_a_caller_with_several_organizations_is_told_which(company: Company) -> None:
    assert f"{SUPPORT}, {SALES}" in text_of(company.look_up("both", CAMPAIGNS[SALES]))


def test_no_caller_learns_what_exists_elsewhere(company: Company) -> None:
    there, nowhere = "65aa00000000000000000002", "65aa0000000000000000000f"
    texts = [
        text_of(company.look_up("support", CAMPAIGNS[SALES], place)).replace(place, "X") for place in (there, nowhere)
    ]
    assert texts[0] == texts[1]
    missing = company.look_up("support", "d" * 24)
    elsewhere = company.look_up("support", CAMPAIGNS[SALES])
    company.api.script(fault.error(403, "That belongs to sales"))
    denied = company.look_up("support", "e" * 24)
    assert text_of(missing).replace("d" * 24, "X") == text_of(elsewhere).replace("c" * 24, "X")
    assert text_of(missing).replace("d" * 24, "X") == text_of(denied).replace("e" * 24, "X")
    assert "sales" not in text_of(denied)
    details = [answer.result["_meta"]["callers-mcp/error"] | {"request_id": ""} for answer in (missing, denied)]
    assert details[0] == details[1]


@pytest.mark.parametrize(
    "forged",
    [
        {"x_sub_organization_id": SALES},
        {"X_Request_Id": "forged"},
        {"X_Caller": "token:all", "X_Forwarded_User": "token:all", "Remote_User": "token:all"},
        {"callers_mcp.caller": "token:all"},
        {"Forwarded": "for=10.0.0.1;by=proxy", "Via": "1.1 proxy"},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [HANDSHAKES[-1], LATEST])
def test_nothing_that_a_caller_sends_changes_who_they_are(
    company: Company, forged: dict[str, str], version: str
) -> None:
    params = {"name": "get_campaign", "arguments": {"campaign_id": CAMPAIGNS[SUPPORT]}, "caller": "token:all"}
    content, headers = message("tools/call", params, version=version, name="get_campaign")
    content["params"].setdefault("_meta", {})["caller"] = "token:all"
    authorization = bearer(company.team.tokens["support"])
    assert outcome(company.server.post(content, **headers | forged | authorization)) == CAMPAIGNS[SUPPORT]
    (request,) = company.api.requests
    assert request.values("x-sub-organization-id") == [SUPPORT]
    assert request.values("authorization") == [KEY]
    (request_id,) = request.values("x-request-id")
    assert re.fullmatch(r"[0-9a-f]{16}", request_id)
    assert company.team.tokens["support"].encode() not in request.head
    assert b"forged" not in request.head


@pytest.mark.parametrize("argument", ["caller", "scope", "x-sub-organization-id"])
def test_no_argument_names_the_caller(company: Company, argument: str) -> None:
    params = {"name": "get_campaign", "arguments": {"campaign_id": CAMPAIGNS[None], argument: "main"}}
    content, headers = message("tools/call", params)
    answer = company.server.post(content, **headers | bearer(company.team.tokens["support"]))
    assert outcome(answer) == "invalid_arguments"
    assert company.api.requests == []


def test_what_is_listed_is_private_to_the_caller(company: Company) -> None:
    content, headers = message("tools/list", version=LATEST)
    listed = company.server.post(content, **headers | bearer(company.team.tokens["main"])).result
    assert (listed["cacheScope"], listed["ttlMs"]) == ("private", 3_600_000)


@pytest.mark.parametrize(("name", "place", "is_sent"), [("all", SUPPORT, True), ("support", SALES, False)])
def test_an_error_carries_the_id_by_which_the_operator_finds_it(
    company: Company, name: str, place: str, is_sent: bool
) -> None:
    result = company.look_up(name, "d" * 24, place).result
    request_id = result["_meta"]["callers-mcp/error"]["request_id"]
    assert result["content"][0]["text"].endswith(f" Request id: {request_id}.")
    assert [request.values("x-request-id") for request in company.api.requests] == ([[request_id]] if is_sent else [])
    (line,) = (line for line in company.team.audit() if request_id in line.values())
    assert f"token:{name}" in line.values()


@pytest.mark.slow
def test_while_the_token_file_is_missing_no_caller_is_let_in_and_readiness_is_off(company: Company) -> None:
    away = company.team.token_file.rename(company.team.token_file.with_suffix(".away"))
    try:
        until(lambda: company.look_up("all", CAMPAIGNS[None]).status == 401, "no caller is accepted")
        ready = company.server.request("GET", "/readyz")
        assert (ready.status, ready.content) == (503, {"ready": False, "problems": ["tokens"]})
        assert company.server.request("GET", "/healthz").status == 200
        assert f"There is no token file {company.team.token_file}" in company.server.errors
    finally:
        away.rename(company.team.token_file)
    until(lambda: company.server.request("GET", "/readyz").status == 200, "it is ready again")
    assert outcome(company.look_up("all", CAMPAIGNS[None])) == CAMPAIGNS[None]


def test_a_word_of_a_prompt_is_a_sub_organization_only_for_the_token_that_may_see_it(tmp_path: Path) -> None:
    main, acme = campaign(id="a" * 24, name="Spring acme"), campaign(id="b" * 24, name="Spring", organizationId="acme")
    with FaultServer(holding(main, acme=[acme])) as api:
        team = Team(tmp_path, api)
        tokens = {name: team.add(name, *places) for name, places in (("acme", ["main", "acme"]), ("main", ["main"]))}
        environment = team.environment | {"CALLERS_ORGANIZATION_ID": CAMPAIGN_OWNER_ID}
        with HostedThread(environment=environment) as server:
            found = {}
            for name, token in tokens.items():
                words = {"campaign": "Spring", "sub_organization_id": "acme"}
                asked, headers = message("prompts/get", {"name": "review_campaign", "arguments": words})
                (sent,) = server.post(asked, **bearer(token) | headers).result["messages"]
                found[name] = re.findall(r"^callers://\S+$", sent["content"]["text"], re.MULTILINE)
    assert found == {
        "acme": [f"callers://sub-organizations/acme/campaigns/{'b' * 24}"],
        "main": [f"callers://campaigns/{'a' * 24}"],
    }
