"""How the issuer's keys are found and fetched, and what becomes of an issuer that misbehaves."""

import gzip
import json
import logging
import re
import ssl
from pathlib import Path

import pytest
import trustme

from callers_mcp.access import Principal
from callers_mcp.http.auth import jwks
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import IssuerUnavailable
from tests.conftest import PROXIES
from tests.support import fault_server as fault
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.oauth_verifier import PAUSE, Clock, outcome, verifier_of, warnings
from tests.support.oidc_provider import JWKS, OAUTH, OPENID, OidcProvider, Signer, unusable_keys


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        ("", OAUTH),
        ("", OPENID),
        ("/", OAUTH),
        ("/", OPENID),
        ("/realms/x", f"{OAUTH}/realms/x"),
        ("/realms/x", f"{OPENID}/realms/x"),
        ("/realms/x", f"/realms/x{OPENID}"),
        ("/realms/x/", f"{OAUTH}/realms/x"),
        ("/realms/x/", f"/realms/x{OPENID}"),
    ],
)
async def test_the_keys_are_found_wherever_the_issuer_publishes_its_metadata(path: str, metadata: str) -> None:
    with OidcProvider(path=path, metadata=metadata) as provider:
        assert (
            await outcome(verifier_of(provider.issuer, Clock()), provider.token()) == f"oauth:{provider.issuer}|alice"
        )


@pytest.mark.parametrize(
    "first",
    [{"issuer": "https://other.example"}, {"jwks_uri": None}, b"<html>", b"[" * 200_000, [1]],
    ids=lambda first: f"{first!s:.20}",
)
async def test_an_unusable_document_does_not_hide_the_next_one(
    provider: OidcProvider, verifier: OAuthVerifier, first: object
) -> None:
    good = dict(provider.metadata)
    provider.pages[OAUTH] = fault.answer(good | first if isinstance(first, dict) else first)
    provider.pages[OPENID] = fault.answer(good)
    assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"


@pytest.mark.parametrize(
    "issuer", ["{}/", "{}/other", "https://other.example", "", None, 5, ["{}"], "evil\nline \ud800"]
)
async def test_metadata_that_names_another_issuer_is_not_used(
    provider: OidcProvider, verifier: OAuthVerifier, issuer: object, caplog: pytest.LogCaptureFixture
) -> None:
    provider.metadata["issuer"] = issuer.format(provider.issuer) if isinstance(issuer, str) else issuer
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    assert provider.fetches == 0
    [warning] = warnings(caplog)
    assert "another issuer" in warning
    assert warning.isprintable()


@pytest.mark.parametrize(
    "jwks_uri",
    [
        "http://192.0.2.1/jwks",
        "http://localhost.example/jwks",
        "ftp://127.0.0.1/jwks",
        "file:///etc/passwd",
        "/jwks",
        "",
        "https:///jwks",
        "http://[::1",
        "x" * 70_000,
        None,
        5,
    ],
)
async def test_keys_are_fetched_only_over_https_or_on_this_machine(
    provider: OidcProvider, verifier: OAuthVerifier, jwks_uri: object, caplog: pytest.LogCaptureFixture
) -> None:
    provider.metadata["jwks_uri"] = jwks_uri
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    assert "jwks_uri" in warnings(caplog)[0]
    assert len(warnings(caplog)[0]) < 1000


async def test_an_https_issuer_is_verified_and_never_sends_us_to_plain_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    with OidcProvider(tls=tls) as provider, OidcProvider(provider.signer) as plain:
        token = provider.token()
        assert await outcome(verifier_of(provider.issuer, Clock()), token) == "issuer_unavailable"
        assert "CERTIFICATE_VERIFY_FAILED" in warnings(caplog)[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert await outcome(verifier_of(provider.issuer, Clock()), token) == f"oauth:{provider.issuer}|alice"
        provider.metadata["jwks_uri"] = plain.base_url + JWKS
        assert await outcome(verifier_of(provider.issuer, Clock()), token) == "issuer_unavailable"
        assert plain.requests == []


@pytest.mark.parametrize(
    ("environment", "logged"),
    [
        (
            {"SSL_CERT_FILE": "/nowhere"},
            "SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded (No such file or directory)",
        ),
        (
            {"ALL_PROXY": "socks://nowhere"},
            "ALL_PROXY can't be used as a proxy: it takes a URL such as http://host:port",
        ),
    ],
    ids=["certificates", "proxy"],
)
async def test_an_unusable_proxy_or_certificate_is_named_as_for_the_api(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, environment: dict[str, str], logged: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    token = Signer().token({})
    assert await outcome(verifier_of("https://issuer.example", Clock()), token) == "issuer_unavailable"
    assert f"{logged}. Fix or unset it. " in warnings(caplog)[0]


async def test_the_proxy_for_https_is_used_beside_an_unusable_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(fault.answer({}, 403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.setenv("ALL_PROXY", "socks://nowhere")
        token = Signer().token({})
        assert await outcome(verifier_of("https://issuer.example", Clock()), token) == "issuer_unavailable"
        assert {request.target for request in proxy.requests} == {"issuer.example:443"}


async def test_plain_http_stays_on_this_machine(
    provider: OidcProvider, verifier: OAuthVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(fault.close_at_once) as proxy:
        for name in PROXIES[:3]:
            monkeypatch.setenv(name, proxy.base_url)
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"
        assert proxy.requests == []


GOOD = {"keys": [Signer().jwk]}
MISBEHAVIOURS: dict[str, Behaviour] = {
    "an error": fault.answer(GOOD, 500),
    "no content": fault.answer(b"", 204),
    "a web page": fault.answer(b"<html></html>", kind="text/html"),
    "not UTF-8": fault.answer(b'{"keys": "\xff"}'),
    "deep nesting": fault.answer(b"[" * 200_000),
    "a long number": fault.answer(b'{"keys": ' + b"9" * 5000 + b"}"),
    "a list": fault.answer([GOOD]),
    "a large body": fault.answer(json.dumps(GOOD).encode() + b" " * 262_144),
    "an endless body": fault.endless(200),
    "a compressed body": fault.answer(gzip.compress(json.dumps(GOOD).encode()), headers=[("Content-Encoding", "gzip")]),
    "a broken body": fault.reset_in_body,
    "a short body": fault.wrong_length,
    "a reset": fault.reset_at_once,
    "no answer": fault.close_at_once,
    "no HTTP": fault.says(b"SSH-2.0-x\r\n\r\n"),
    "no key": fault.answer({"keys": []}),
    "no list of keys": fault.answer({"keys": GOOD}),
    "nothing": fault.answer({}),
}


@pytest.mark.parametrize("page", [OAUTH, JWKS])
@pytest.mark.parametrize("behaviour", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS)
async def test_an_issuer_that_misbehaves_causes_a_503_and_one_line_in_the_log(
    provider: OidcProvider,
    verifier: OAuthVerifier,
    behaviour: Behaviour,
    page: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider.pages[page] = behaviour
    token = provider.token()
    with pytest.raises(IssuerUnavailable) as refused:
        await verifier.verify(token)
    assert refused.value.retry_after_seconds == PAUSE
    [warning] = warnings(caplog)
    assert warning.isprintable()
    assert "CALLERS_HTTP_OAUTH_ISSUER" in warning
    assert not any(part in caplog.text for part in [*token.split("."), "alice", str(provider.signer.jwk["x"])])


@pytest.mark.parametrize("page", [OAUTH, JWKS])
async def test_no_redirect_is_followed(provider: OidcProvider, verifier: OAuthVerifier, page: str) -> None:
    provider.pages["/elsewhere"] = fault.answer(provider.metadata if page == OAUTH else {"keys": provider.keys})
    provider.pages[page] = fault.redirect(302, provider.base_url + "/elsewhere")
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    assert "/elsewhere" not in [request.target for request in provider.requests]


@pytest.mark.parametrize("behaviour", [fault.silent, fault.slow_headers, fault.slow_body, fault.drip])
async def test_a_slow_issuer_is_not_waited_for_long(
    provider: OidcProvider,
    verifier: OAuthVerifier,
    clock: Clock,
    behaviour: Behaviour,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(jwks, "_TIMEOUT_SECONDS", 0.2)  # not ten seconds
    provider.pages[JWKS] = behaviour
    while not provider.fetches:  # on a busy machine the time may be over before the keys are requested
        assert await outcome(verifier, provider.token()) == "issuer_unavailable"
        assert "no complete response within 0.2 seconds" in warnings(caplog)[-1]
        clock.now += PAUSE
    provider.wait_for_disconnect()


async def test_nothing_listens_where_the_issuer_should_be(caplog: pytest.LogCaptureFixture) -> None:
    with OidcProvider() as provider:
        token = provider.token()
    assert await outcome(verifier_of(provider.issuer, Clock()), token) == "issuer_unavailable"
    assert len(warnings(caplog)) == 1


UNUSABLE = unusable_keys()


@pytest.mark.parametrize("member", UNUSABLE.values(), ids=UNUSABLE)
async def test_an_unusable_key_does_not_affect_another(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, member: object
) -> None:
    provider.keys = [member]
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    good = Signer("good")
    provider.keys = [member, good.jwk, member]
    clock.now += PAUSE
    assert await outcome(verifier, good.token(provider.claims())) == f"oauth:{provider.issuer}|alice"


async def test_a_fetch_logs_only_two_numbers(
    provider: OidcProvider, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "callers_mcp")
    provider.keys += [{}, Signer("key-2").jwk]
    caller = await verifier.verify(provider.token())
    assert isinstance(caller, Principal)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("callers_mcp")]
    assert [re.findall(r"\d+", message) for message in ours] == [["2", "1"]]
