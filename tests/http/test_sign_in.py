"""Who may call ``callers-mcp http`` by the company's sign-in: hosts find their way, and what a token says holds."""

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

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth import token_store
from tests.support import fault_server as fault
from tests.support.constants import ID, KEY
from tests.support.fault_server import Exchange, FaultServer
from tests.support.hosted_server import Hosted, echo
from tests.support.lookups import call, found
from tests.support.oidc_provider import CLAIM, SCOPE, OidcProvider

METADATA = "/.well-known/oauth-protected-resource"
SUPPORT = "65aa00000000000000000001"


@dataclass
class Company:
    """A server that takes tokens of its own and the issuer's; and all that belongs to it."""

    server: Hosted
    api: FaultServer
    provider: OidcProvider
    audit: Path
    ci: str
    """An API token."""

    def token(self, **claims: object) -> str:
        """Return a token of the issuer for this server."""
        return self.provider.token(**{"aud": self.server.url} | claims)

    def call(self, token: str, place: str | None = None) -> dict[str, Any]:
        return self.server.call(ID, place, Authorization=f"Bearer {token}").result


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    file, audit = folder / "tokens.json", folder / "audit.log"
    ci = token_store.add(file, "ci", AllowedOrganizations.parse(["main"]))
    with FaultServer(echo) as api, OidcProvider() as provider:
        environment = {
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_API_KEY": KEY,
            "CALLERS_LOG_LEVEL": "DEBUG",
            "CALLERS_HTTP_AUTH": "tokens,oauth",
            "CALLERS_HTTP_TOKEN_FILE": str(file),
            "CALLERS_HTTP_AUDIT_FILE": str(audit),
            "CALLERS_HTTP_OAUTH_ISSUER": provider.issuer,
        }
        with Hosted(environment=environment) as server:
            yield Company(server, api, provider, audit, ci)
            code, errors = server.end()
    assert code == 0
    assert "Traceback" not in errors
    assert not re.search(r"eyJ[\w-]+\.", errors + audit.read_text())  # as every JWT begins


@pytest.fixture
def company(shared: Company) -> Company:
    shared.api.script(echo)
    return shared


def kind(result: dict[str, Any]) -> str | None:
    return result["_meta"]["callers-mcp/error"]["kind"] if result["isError"] else None


def test_the_start_says_where_one_signs_in(company: Company) -> None:
    assert f"holders of a token, and who signs in at {company.provider.issuer}" in company.server.said[1]


@pytest.mark.parametrize("path", ["", "/mcp"])
def test_the_metadata_leads_to_the_issuer(company: Company, path: str) -> None:
    answer = company.server.ask("GET", METADATA + path)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == {
        "resource": company.server.url,
        "authorization_servers": [company.provider.issuer],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "Callers campaigns",
    }
    assert company.server.ask("HEAD", METADATA + path).status == 200


def challenge(company: Company, token: str | None) -> tuple[int, dict[str, str]]:
    """Return the status, and what the challenge holds."""
    answer = company.server.call(ID, **({"Authorization": f"Bearer {token}"} if token else {}))
    scheme, _, values = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    assert re.fullmatch(r'\w+="[^"]*"(, \w+="[^"]*")*', values)
    assert token is None or token not in str(answer)
    return answer.status, dict(re.findall(r'(\w+)="([^"]*)"', values))


def test_who_has_no_token_is_told_where_the_metadata_is(company: Company) -> None:
    metadata = company.server.url.replace("/mcp", METADATA + "/mcp")
    assert challenge(company, None) == (401, {"resource_metadata": metadata, "scope": SCOPE})
    assert company.server.ask("GET", urlsplit(metadata).path).status == 200


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
def test_a_token_that_does_not_hold_is_refused_as_the_specification_has_it(
    company: Company, claims: dict[str, object], status: int, error: str
) -> None:
    got, said = challenge(company, company.token(**claims))
    assert (got, said["error"], said["scope"]) == (status, error, SCOPE)
    assert said["resource_metadata"].endswith(METADATA + "/mcp")
    assert company.api.requests == []


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
def test_the_claim_alone_says_what_a_person_sees(
    company: Company, claim: object, place: str | None, refused: str | None
) -> None:
    assert kind(company.call(company.token(**{CLAIM: claim}), place)) == refused
    assert len(company.api.requests) == (0 if refused else 1)


@pytest.mark.parametrize("subject", ["ci", "token:ci", "|"])
def test_a_person_is_never_taken_for_a_token_of_the_same_name(company: Company, subject: str) -> None:
    before = company.audit.read_text().splitlines() if company.audit.exists() else []
    assert kind(company.call(company.token(sub=subject))) is None
    assert kind(company.call(company.ci)) is None
    lines = company.audit.read_text().splitlines()[len(before) :]
    assert [json.loads(line)["caller"] for line in lines] == [f"oauth:{company.provider.issuer}|{subject}", "token:ci"]


def test_a_token_that_looks_like_ours_is_never_asked_about_at_the_issuer(company: Company) -> None:
    fetches = company.provider.fetches
    assert challenge(company, "callers_mcp_" + "0" * 64)[0] == 401
    assert company.provider.fetches == fetches


def test_while_the_issuer_is_away_its_tokens_are_to_come_back_later() -> None:
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
        with Hosted(environment=environment) as server:
            answer = server.call(ID, Authorization=f"Bearer {provider.token(aud='team')}")
            assert answer.status == 503
            assert 1 <= int(answer.headers["retry-after"]) <= 30
            assert server.ask("GET", "/readyz").status == 200  # others may have keys that are still good
            known = server.call(ID, Authorization="Bearer callers_mcp_" + "0" * 64)
            assert known.status == 401  # without a look at the issuer
            for path in ("", "/mcp", "/team"):
                assert server.ask("GET", METADATA + path).content["resource"] == "https://mcp.example.com/team"
            code, errors = server.end()
    assert code == 0
    assert "CALLERS_HTTP_OAUTH_ISSUER" in errors
    assert "Traceback" not in errors


class Memory:
    """Keeps what the SDK's client is given."""

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


async def test_the_sdks_own_client_signs_in_by_itself_knowing_the_url_alone(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, asked = company.provider, list[dict[str, list[str]]]()

    def register(exchange: Exchange) -> None:
        registration = json.loads(_body(exchange)) | {"client_id": "host-1"}
        fault.answer(registration, 201)(exchange)

    def grant(exchange: Exchange) -> None:
        asked.append(parse_qs(_body(exchange).decode()))
        (audience,) = asked[-1]["resource"]
        fault.answer({"access_token": provider.token(aud=audience), "token_type": "Bearer", "expires_in": 300})(
            exchange
        )

    async def go(url: str) -> None:
        asked.append(parse_qs(urlsplit(url).query))

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="code-1", state=asked[0]["state"][0])

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
    authorization, exchanged = asked
    assert authorization["resource"] == exchanged["resource"] == [company.server.url]
    assert authorization["scope"] == [SCOPE]
    assert exchanged["code"] == ["code-1"]


def _body(exchange: Exchange) -> bytes:
    (length,) = exchange.request.values("content-length")
    body = exchange.request.head.partition(b"\r\n\r\n")[2]
    while len(body) < int(length):
        body += exchange.connection.recv(65_536)
    return body
