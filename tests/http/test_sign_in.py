"""Signing in at the company's issuer: how hosts find it, and what its tokens allow."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from callers_mcp.http.auth import jwks
from tests.support import fault_server as fault
from tests.support.constants import ID, KEY
from tests.support.echo_api import echo
from tests.support.fault_server import Exchange, FaultServer
from tests.support.hosted_server import bearer
from tests.support.hosted_thread import HostedThread
from tests.support.lookups import call, found
from tests.support.oidc_provider import CLAIM, SCOPE, OidcProvider, Signer
from tests.support.prometheus import read_metrics
from tests.support.team import Team
from tests.support.waiting import until

METADATA = "/.well-known/oauth-protected-resource"
SUPPORT = "65aa00000000000000000001"
METRICS = {"CALLERS_HTTP_METRICS": "127.0.0.1:0"}
FAILURES = "callers_mcp_key_fetch_failures_total"


@dataclass
class Company:
    """A server that accepts tokens of its own and the issuer's, and what belongs to it."""

    server: HostedThread
    api: FaultServer
    provider: OidcProvider
    team: Team

    def token(self, **claims: object) -> str:
        """Return a token of the issuer for this server."""
        return self.provider.token(**{"aud": self.server.url} | claims)

    def look_up(self, token: str, place: str | None = None) -> dict[str, Any]:
        return self.server.look_up(ID, place, **bearer(token)).result


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with FaultServer(echo) as api, OidcProvider() as provider:
        team = Team(tmp_path_factory.mktemp("company"), api)
        team.add("ci", "main")
        more = {"CALLERS_HTTP_AUTH": "tokens,oauth", "CALLERS_HTTP_OAUTH_ISSUER": provider.issuer}
        with HostedThread(environment=team.environment | more) as server:
            yield Company(server, api, provider, team)
    assert server.exit_code == 0
    assert "Traceback" not in server.errors
    assert not re.search(r"eyJ[\w-]+\.", server.errors + team.audit_file.read_text())  # as every JWT begins


@pytest.fixture
def company(shared: Company) -> Company:
    shared.api.script(echo)
    return shared


def kind(result: dict[str, Any]) -> str | None:
    """Return the kind of the error, if the result is one."""
    return result["_meta"]["callers-mcp/error"]["kind"] if result["isError"] else None


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_the_metadata_leads_to_the_issuer(company: Company, path: str) -> None:
    answer = company.server.request("GET", METADATA + path)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == {
        "resource": company.server.url,
        "authorization_servers": [company.provider.issuer],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "Callers campaigns",
    }
    assert company.server.request("HEAD", METADATA + path).status == 200


def challenge(company: Company, token: str | None) -> tuple[int, dict[str, str]]:
    """Return the status and the parameters of the challenge."""
    answer = company.server.look_up(ID, **(bearer(token) if token else {}))
    scheme, _, values = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    assert re.fullmatch(r'\w+="[^"]*"(, \w+="[^"]*")*', values)
    assert token is None or token not in str(answer)
    return answer.status, dict(re.findall(r'(\w+)="([^"]*)"', values))


def test_a_challenge_names_the_metadata(company: Company) -> None:
    metadata = company.server.url.replace("/mcp", METADATA + "/mcp")
    assert challenge(company, None) == (401, {"resource_metadata": metadata, "scope": SCOPE})
    assert company.server.request("GET", urlsplit(metadata).path).status == 200


@pytest.mark.parametrize(
    ("claims", "status", "error"),
    [
        ({"exp": 1}, 401, "invalid_token"),
        ({"exp": None}, 401, "invalid_token"),
        ({"aud": "https://elsewhere.example.com/mcp"}, 401, "invalid_token"),
        ({"iss": "https://elsewhere.example.com"}, 401, "invalid_token"),
        ({"scope": None}, 403, "insufficient_scope"),
        ({"scope": "campaigns:write"}, 403, "insufficient_scope"),
    ],
    ids=str,
)
def test_an_unusable_token_is_refused_as_the_specification_says(
    company: Company, claims: dict[str, object], status: int, error: str
) -> None:
    got, parameters = challenge(company, company.token(**claims))
    assert (got, parameters["error"], parameters["scope"]) == (status, error, SCOPE)
    assert parameters["resource_metadata"].endswith(METADATA + "/mcp")
    assert company.api.requests == []


@pytest.mark.parametrize(
    ("claims", "logged"),
    [
        ({"aud": "https://elsewhere.example.com/mcp"}, "reason=audience client=127.0.0.1 expected={url}"),
        (
            {"scope": f"openid,{SCOPE}"},
            "reason=scope client=127.0.0.1 its scopes are separated by commas, not by spaces",
        ),
    ],
    ids=["audience", "scope"],
)
def test_the_log_says_what_was_expected(company: Company, claims: dict[str, object], logged: str) -> None:
    challenge(company, company.token(**claims))
    until(lambda: logged.format(url=company.server.url) in company.server.errors, "it is logged")


@pytest.mark.parametrize(
    ("claim", "place", "refused"),
    [
        (None, None, "forbidden"),
        (None, "main", "forbidden"),
        ([], None, "forbidden"),
        (["main"], None, None),
        (["main"], SUPPORT, "forbidden"),
        ([SUPPORT], None, None),
        ([SUPPORT], "main", "forbidden"),
        (f"main {SUPPORT}", SUPPORT, None),
        (["*"], SUPPORT, None),
        ({"main": True}, None, "forbidden"),
    ],
    ids=str,
)
def test_only_the_claim_decides_what_a_person_sees(
    company: Company, claim: object, place: str | None, refused: str | None
) -> None:
    assert kind(company.look_up(company.token(**{CLAIM: claim}), place)) == refused
    assert len(company.api.requests) == (0 if refused else 1)


@pytest.mark.parametrize("subject", ["ci", "token:ci", "|"])
def test_a_person_is_never_taken_for_a_token_of_the_same_name(company: Company, subject: str) -> None:
    before = len(company.team.audit())
    assert kind(company.look_up(company.token(sub=subject))) is None
    assert kind(company.look_up(company.team.tokens["ci"])) is None
    assert [line["caller"] for line in company.team.audit()[before:]] == [
        f"oauth:{company.provider.issuer}|{subject}",
        "token:ci",
    ]


def test_a_token_that_looks_like_ours_is_never_checked_at_the_issuer(company: Company) -> None:
    fetches = company.provider.fetches
    assert challenge(company, "callers_mcp_" + "0" * 64)[0] == 401
    assert company.provider.fetches == fetches


def test_while_the_issuer_is_down_its_tokens_get_503_with_a_time_to_retry() -> None:
    with FaultServer(echo) as api, OidcProvider() as provider:
        provider.away = True
        environment = {
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_API_KEY": KEY,
            "CALLERS_HTTP_AUTH": "oauth",
            "CALLERS_HTTP_OAUTH_ISSUER": provider.issuer,
            "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/team",
            "CALLERS_HTTP_OAUTH_AUDIENCE": "team",
        }
        with HostedThread(environment=environment) as server:
            answer = server.look_up(ID, **bearer(provider.token(aud="team")))
            assert answer.status == 503
            assert 1 <= int(answer.headers["retry-after"]) <= 30
            known = server.look_up(ID, **bearer("callers_mcp_" + "0" * 64))
            assert known.status == 401  # without a look at the issuer
            for path in ("", "/mcp", "/team"):
                assert server.request("GET", METADATA + path).content["resource"] == "https://mcp.example.com/team"
    assert server.exit_code == 0
    assert "CALLERS_HTTP_OAUTH_ISSUER" in server.errors
    assert "Traceback" not in server.errors


@pytest.mark.parametrize(
    ("methods", "status", "content"),
    [
        ("oauth", 503, {"ready": False, "problems": ["sign-in"]}),
        ("tokens,oauth", 200, {"ready": True, "warnings": ["sign-in"]}),
    ],
)
def test_readiness_names_sign_in_while_the_issuer_is_down_and_needs_no_caller_to_recover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, methods: str, status: int, content: object
) -> None:
    monkeypatch.setattr(jwks, "_FETCH_INTERVAL_SECONDS", 0.0)
    with FaultServer(echo) as api, OidcProvider() as provider:
        provider.away = True
        team = Team(tmp_path, api)
        team.add("ci", "main")
        more = {"CALLERS_HTTP_AUTH": methods, "CALLERS_HTTP_OAUTH_ISSUER": provider.issuer}
        more |= METRICS | ({"CALLERS_HTTP_TOKEN_FILE": ""} if methods == "oauth" else {})
        with HostedThread(environment=team.environment | more) as server:

            def readiness() -> tuple[int, object]:
                answer = server.request("GET", "/readyz")
                return answer.status, answer.content

            assert readiness() == (status, content)
            until(lambda: f"{FAILURES} 0.0" not in read_metrics(server.errors), "the failed fetch is counted")
            provider.away = False
            until(lambda: readiness() == (200, {"ready": True}), "the keys are there")
            provider.away = True
            unknown = Signer("key-2").token(provider.claims(aud=server.url))
            assert server.look_up(ID, **bearer(unknown)).status == 503
            # Callers with a known key are still served.
            assert readiness() == (200, {"ready": True, "warnings": ["sign-in"]})
            provider.away = False
            until(lambda: readiness() == (200, {"ready": True}), "the keys are fetched again")


class Memory:
    """Stores what the SDK's client is given."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_the_sdks_own_client_signs_in_knowing_only_the_url(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, requested = company.provider, list[dict[str, list[str]]]()

    def register(exchange: Exchange) -> None:
        registration = json.loads(_body(exchange)) | {"client_id": "host-1"}
        fault.answer(registration, 201)(exchange)

    def grant(exchange: Exchange) -> None:
        requested.append(parse_qs(_body(exchange).decode()))
        (audience,) = requested[-1]["resource"]
        fault.answer({"access_token": provider.token(aud=audience), "token_type": "Bearer", "expires_in": 300})(
            exchange
        )

    async def go(url: str) -> None:
        requested.append(parse_qs(urlsplit(url).query))

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="code-1", state=requested[0]["state"][0])

    endpoints = {
        "authorization_endpoint": "/authorize",
        "token_endpoint": "/token",
        "registration_endpoint": "/register",
    }
    more = {name: provider.base_url + path for name, path in endpoints.items()}
    metadata = (
        provider.metadata | more | {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
    )
    monkeypatch.setattr(provider, "metadata", metadata)
    monkeypatch.setattr(provider, "pages", {"/register": register, "/token": grant})
    redirect = AnyUrl("http://127.0.0.1:1/callback")
    host = OAuthClientMetadata(client_name="host", redirect_uris=[redirect], token_endpoint_auth_method="none")
    sign_in = OAuthClientProvider(company.server.url, host, Memory(), go, come_back)
    async with (
        httpx2.AsyncClient(auth=sign_in) as http,
        Client(streamable_http_client(company.server.url, http_client=http)) as client,
    ):
        assert found(await call(client))["id"] == ID
    authorization, exchanged = requested
    assert authorization["resource"] == exchanged["resource"] == [company.server.url]
    assert authorization["scope"] == [SCOPE]
    assert exchanged["code"] == ["code-1"]


def _body(exchange: Exchange) -> bytes:
    (length,) = exchange.request.values("content-length")
    body = exchange.request.head.partition(b"\r\n\r\n")[2]
    while len(body) < int(length):
        body += exchange.connection.recv(65_536)
    return body
