"""Who may call ``callers-mcp http`` with a token, and what they see: through the door, to the API and back."""

import json
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth import token_store
from callers_mcp.http.auth.bearer import Authenticator
from callers_mcp.http.middleware import HttpMiddleware
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.settings import HostingSettings
from tests.support import fault_server as fault
from tests.support.constants import KEY
from tests.support.fault_server import Exchange, FaultServer
from tests.support.hosted_server import HANDSHAKES, HAS_PROC, LATEST, Answer, Hosted, has_ended, message, until

SUPPORT, SALES = "65aa00000000000000000001", "65aa00000000000000000002"
CAMPAIGNS = {None: "a" * 24, SUPPORT: "b" * 24, SALES: "c" * 24}
SCOPES = {
    "all": AllowedOrganizations.parse(["*"]),
    "main": AllowedOrganizations.parse(["main"]),
    "support": AllowedOrganizations.parse([SUPPORT]),
    "both": AllowedOrganizations.parse([SUPPORT, SALES]),
}


def organization(exchange: Exchange) -> None:
    """The API of an organization: a campaign in each place, and 403 for a place that it does not have."""
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
    """A server that asks for tokens, at a public URL behind a proxy; and all that belongs to it."""

    server: Hosted
    api: FaultServer
    file: Path
    audit: Path
    tokens: dict[str, str]

    def call(self, name: str, campaign_id: str, place: str | None = None, **headers: str) -> Answer:
        """Look a campaign up as the holder of the token ``name``."""
        return self.server.call(campaign_id, place, **{"Authorization": f"Bearer {self.tokens[name]}"} | headers)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    file, audit = folder / "tokens.json", folder / "audit.log"
    given = {name: token_store.add(file, name, scope) for name, scope in SCOPES.items()}
    with FaultServer(organization) as api:
        environment = {
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_API_KEY": KEY,
            "CALLERS_MAX_ATTEMPTS": "1",
            "CALLERS_LOG_LEVEL": "DEBUG",
            "CALLERS_HTTP_AUTH": "tokens",
            "CALLERS_HTTP_TOKEN_FILE": str(file),
            "CALLERS_HTTP_AUDIT_FILE": str(audit),
            "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team/callers",
        }
        with Hosted(environment=environment) as server:
            yield Company(server, api, file, audit, given)
            code, errors = server.end()
    assert code == 0
    assert "Traceback" not in errors
    for secret in (KEY, *given.values()):
        assert secret not in errors
        assert secret not in audit.read_text()


@pytest.fixture
def company(shared: Company) -> Company:
    shared.api.script(organization)
    return shared


def outcome(answer: Answer) -> str:
    """Return what came of a look-up: the campaign's id, or the kind of error."""
    result = answer.result
    if result["isError"]:
        kind: str = result["_meta"]["callers-mcp/error"]["kind"]
        return kind
    campaign_id: str = result["structuredContent"]["raw"]["id"]
    return campaign_id


def told(answer: Answer) -> str:
    """Return what the model reads, but for the request id."""
    text: str = answer.result["content"][0]["text"]
    return re.sub(r" Request id: [0-9a-f]+\.", "", text)


def test_the_start_says_that_it_takes_tokens_and_where_a_host_puts_one(company: Company) -> None:
    serves, who, config = company.server.said
    assert serves.startswith("callers-mcp serves on https://mcp.example.com/team/callers (listening on 127.0.0.1:")
    assert "holders of a token" in who
    host = json.loads(config.removeprefix("Host config: "))["mcpServers"]["callers"]
    assert host["url"] == "https://mcp.example.com/team/callers"
    assert host["headers"] == {"Authorization": "Bearer <token>"}


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_without_a_token_a_host_is_told_that_it_needs_one(company: Company, method: str) -> None:
    answer = company.server.ask(method, "/team/callers")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["cache-control"] == "no-store"
    assert company.server.ask("GET", "/.well-known/oauth-protected-resource").status == 404  # there is no sign-in


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
    token = company.tokens["all"]
    given = value.format(token=token, upper=token.upper())
    answer = company.server.call(CAMPAIGNS[None], Authorization=given)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')
    assert token not in str(answer)
    assert company.api.requests == []


def test_a_token_counts_in_the_header_alone(company: Company) -> None:
    with company.server.door() as door:
        door.send(door.head("POST", f"{door.path}?access_token={company.tokens['all']}", Content_Length="0"))
        assert door.answer().status == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_as_http_has_it(company: Company, scheme: str) -> None:
    answer = company.call("all", CAMPAIGNS[None], Authorization=f"{scheme} {company.tokens['all']}")
    assert outcome(answer) == CAMPAIGNS[None]


@pytest.mark.parametrize(
    ("name", "place", "campaign", "comes"),
    [
        ("all", None, CAMPAIGNS[None], CAMPAIGNS[None]),
        ("all", SALES, CAMPAIGNS[SALES], CAMPAIGNS[SALES]),
        ("all", "elsewhere", CAMPAIGNS[None], "forbidden"),  # says the API
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
    assert outcome(company.call(name, campaign, place)) == comes
    asked = [request.values("x-sub-organization-id") for request in company.api.requests]
    if comes == "forbidden" and name != "all":
        assert asked == []  # refused before any request
    else:
        sent = {None: SUPPORT if name == "support" else None, "MAIN": None}.get(place, place)
        assert asked == [[sent] if sent else []]


def test_who_has_several_places_is_told_which(company: Company) -> None:
    assert f"{SUPPORT}, {SALES}" in told(company.call("both", CAMPAIGNS[SALES]))


def test_nobody_learns_what_exists_elsewhere(company: Company) -> None:
    there, nowhere = "65aa00000000000000000002", "65aa0000000000000000000f"
    texts = [told(company.call("support", CAMPAIGNS[SALES], place)).replace(place, "X") for place in (there, nowhere)]
    assert texts[0] == texts[1]
    missing = company.call("support", "d" * 24)
    elsewhere = company.call("support", CAMPAIGNS[SALES])
    company.api.script(fault.error(403, "That belongs to sales"))
    denied = company.call("support", "e" * 24)
    assert told(missing).replace("d" * 24, "X") == told(elsewhere).replace("c" * 24, "X")
    assert told(missing).replace("d" * 24, "X") == told(denied).replace("e" * 24, "X")
    assert "sales" not in told(denied)
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
    authorization = {"Authorization": f"Bearer {company.tokens['support']}"}
    assert outcome(company.server.post(content, **headers | forged | authorization)) == CAMPAIGNS[SUPPORT]
    (request,) = company.api.requests
    assert request.values("x-sub-organization-id") == [SUPPORT]
    assert request.values("authorization") == [KEY]
    (request_id,) = request.values("x-request-id")
    assert re.fullmatch(r"[0-9a-f]{16}", request_id)
    assert company.tokens["support"].encode() not in request.head
    assert b"forged" not in request.head


@pytest.mark.parametrize("argument", ["caller", "scope", "x-sub-organization-id"])
def test_no_argument_names_the_caller(company: Company, argument: str) -> None:
    params = {"name": "get_campaign", "arguments": {"campaign_id": CAMPAIGNS[None], argument: "main"}}
    content, headers = message("tools/call", params)
    answer = company.server.post(content, Authorization=f"Bearer {company.tokens['support']}", **headers)
    assert outcome(answer) == "invalid_arguments"
    assert company.api.requests == []


def test_what_is_listed_is_private_to_the_caller(company: Company) -> None:
    content, headers = message("tools/list", version=LATEST)
    listed = company.server.post(content, Authorization=f"Bearer {company.tokens['main']}", **headers).result
    assert (listed["cacheScope"], listed["ttlMs"]) == ("private", 3_600_000)


@pytest.mark.parametrize(("name", "place", "asked"), [("all", SUPPORT, True), ("support", SALES, False)])
def test_an_error_carries_the_id_by_which_the_operator_finds_it(
    company: Company, name: str, place: str, asked: bool
) -> None:
    result = company.call(name, "d" * 24, place).result
    request_id = result["_meta"]["callers-mcp/error"]["request_id"]
    assert result["content"][0]["text"].endswith(f" Request id: {request_id}.")
    assert [request.values("x-request-id") for request in company.api.requests] == ([[request_id]] if asked else [])
    (line,) = (line for line in company.audit.read_text().splitlines() if request_id in line)
    assert f"token:{name}" in json.loads(line).values()


def test_while_the_token_file_is_away_nobody_is_let_in_and_readiness_is_off(company: Company) -> None:
    away = company.file.rename(company.file.with_suffix(".away"))
    try:
        until(lambda: company.call("all", CAMPAIGNS[None]).status == 401, "nobody is let in")
        ready = company.server.ask("GET", "/readyz")
        assert (ready.status, ready.content) == (503, {"ready": False, "problems": ["tokens"]})
        assert company.server.ask("GET", "/healthz").status == 200
        assert f"There is no token file {company.file}" in company.server.errors
    finally:
        away.rename(company.file)
    until(lambda: company.server.ask("GET", "/readyz").status == 200, "it is ready again")
    assert outcome(company.call("all", CAMPAIGNS[None])) == CAMPAIGNS[None]


def test_the_log_says_who_was_refused_and_why_as_the_proxy_has_it(company: Company) -> None:
    company.server.call(CAMPAIGNS[None], Authorization="Bearer x", X_Forwarded_For="10.9.9.9")
    assert "status=401 reason=unknown client=127.0.0.1" in company.server.errors  # nobody named this proxy


def test_the_log_takes_a_named_proxys_word_for_an_address_and_for_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token_store.add(file, "first", AllowedOrganizations.parse(["main"]))
    hosting = {"AUTH": "tokens", "TOKEN_FILE": str(file), "TRUSTED_PROXIES": "127.0.0.1"}
    environment = {f"CALLERS_HTTP_{name}": value for name, value in hosting.items()}
    with Hosted("--sandbox", environment=environment) as server:
        for address in ("10.9.9.9", "fe80::1%x forged=this client=10.0.0.1"):
            assert server.post({}, Authorization="Bearer x", X_Forwarded_For=address).status == 401
        _, errors = server.end()
    assert "reason=unknown client=10.9.9.9\n" in errors
    assert "reason=unknown client=unknown\n" in errors
    assert "forged" not in errors


@HAS_PROC
def test_every_worker_learns_of_a_token_within_seconds_and_none_outlives_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token_store.add(file, "first", AllowedOrganizations.parse(["main"]))
    environment = {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": str(file)}
    with Hosted("--sandbox", "--workers", "2", environment=environment) as server:
        doors = server.doors_of_workers(2)

        def statuses(token: str) -> list[int]:
            content, headers = message("tools/list")
            for door in doors:
                door.post(content, Authorization=f"Bearer {token}", **headers)
            return [door.answer().status for door in doors]

        added = token_store.add(file, "second", AllowedOrganizations.parse(["main"]))
        until(lambda: statuses(added) == [200, 200], "the new token is known to both")
        token_store.revoke(file, "second")
        until(lambda: statuses(added) == [401, 401], "the revoked token is known to neither")
        for door in doors:
            door.close()
        workers = server.workers(2)
        server.process.kill()
        server.process.wait()
        until(lambda: all(has_ended(worker) for worker in workers), "the workers are gone")
    assert "Traceback" not in server.errors
    assert added not in server.errors


PROXIED = {
    "AUTH": "tokens",
    "PUBLIC_URL": "https://mcp.example.com/mcp",
    "TRUSTED_PROXIES": "203.0.113.7,2001:db8::/32",
}


def _refuse_all(scope: Any, receive: Any, send: Any) -> Any:
    raise AssertionError("it got in")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "tls", "refusal"),
    [
        ("203.0.113.7", None, False, "missing"),
        ("2001:db8::1", None, False, "missing"),
        ("127.0.0.1", None, False, "missing"),
        ("203.0.113.8", None, False, "plain_http"),
        ("203.0.113.8", "203.0.113.7", False, "plain_http"),
        ("", None, False, "plain_http"),
        ("203.0.113.8", None, True, "missing"),
    ],
)
async def test_plain_http_is_taken_from_the_named_proxy_alone(
    peer: str, forwarded_for: str | None, tls: bool, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PROXIED.items():
        monkeypatch.setenv(f"CALLERS_HTTP_{name}", value)
    hosting = HostingSettings.from_environment(host="0.0.0.0", tls=tls)
    reasons: list[str] = []
    authentication = Authenticator(hosting, None, None, reasons.append)
    gate = HttpMiddleware(_refuse_all, hosting, authentication, Readiness({}), lambda: None)
    headers = [(b"x-forwarded-for", forwarded_for.encode())] if forwarded_for else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": headers,
        "client": (peer, 1) if peer else None,
    }
    sent: list[Any] = []

    async def send(part: Any) -> None:
        sent.append(part)

    await gate(scope, None, send)  # type: ignore[arg-type]
    assert reasons == [refusal]
    assert sent[0]["status"] == (403 if refusal == "plain_http" else 401)


def test_off_loopback_who_goes_past_the_proxy_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))  # sends nothing
            own = way.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    if own.startswith("127.") or sys.platform == "win32":
        pytest.skip("this machine has no address but loopback")
    file = tmp_path / "tokens.json"
    token = token_store.add(file, "ci", AllowedOrganizations.parse(["*"]))
    environment = {f"CALLERS_HTTP_{name}": value for name, value in PROXIED.items()}
    environment["CALLERS_HTTP_TOKEN_FILE"] = str(file)
    with Hosted("--sandbox", "--host", "0.0.0.0", environment=environment) as server:
        content, headers = message("tools/list")
        statuses = []
        for address in (own, "127.0.0.1"):
            with server.door(address=address) as door:
                door.post(content, Authorization=f"Bearer {token}", **headers)
                statuses.append(door.answer().status)
    assert statuses == [403, 200]
