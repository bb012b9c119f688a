"""The issuer's keys: found, fetched seldom, kept while the issuer is away, and replaced when it has new ones."""

import gzip
import json
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
import trustme
from anyio import to_thread

from callers_mcp.access import Principal
from callers_mcp.http.auth import jwks
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import IssuerUnavailable, Unauthenticated
from tests.conftest import PROXIES
from tests.support import fault_server as fault
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.oidc_provider import (
    AUDIENCE,
    CLAIM,
    JWKS,
    OAUTH,
    OPENID,
    SCOPE,
    OidcProvider,
    Signer,
    held,
    unusable_keys,
)

HOUR = 3600.0
PAUSE = 30


class Clock:
    """The verifier's clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with OidcProvider() as provider:
        yield provider


@pytest.fixture
def verifier(provider: OidcProvider, clock: Clock) -> OAuthVerifier:
    return verifier_of(provider.issuer, clock)


def verifier_of(issuer: str, clock: Callable[[], float]) -> OAuthVerifier:
    return OAuthVerifier(issuer, AUDIENCE, SCOPE, CLAIM, clock=clock)


async def outcome(verifier: OAuthVerifier, token: str) -> str:
    """Say what becomes of a token: its caller, or the reason of the refusal."""
    try:
        return (await verifier.verify(token)).name
    except (Unauthenticated, IssuerUnavailable) as refusal:
        return refusal.reason


async def outcomes(verifier: OAuthVerifier, tokens: list[str]) -> list[str]:
    """Verify all at the same time."""
    found: list[str] = []

    async def verify(token: str) -> None:
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as tasks:
        for token in tokens:
            tasks.start_soon(verify, token)
    return found


async def asked(provider: OidcProvider, times: int) -> None:
    """Wait until the keys are asked for again: a fetch is two requests."""
    await to_thread.run_sync(provider.wait_for_requests, 2 * times)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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
async def test_keys_are_fetched_over_https_or_on_this_machine_alone(
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
async def test_an_issuer_that_misbehaves_costs_a_503_and_one_line(
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
    behaviour: Behaviour,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(jwks, "_TIMEOUT_SECONDS", 0.2)  # not ten seconds
    provider.pages[JWKS] = behaviour
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    assert "no whole answer within 0.2 seconds" in warnings(caplog)[0]
    provider.wait_for_disconnect()


async def test_an_issuer_that_is_away_is_asked_once_a_pause(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider.away, token = True, provider.token()
    for _ in range(3):
        assert set(await outcomes(verifier, [token] * 30)) == {"issuer_unavailable"}
    clock.now += PAUSE - 0.5
    with pytest.raises(IssuerUnavailable) as refused:
        await verifier.verify(token)
    assert refused.value.retry_after_seconds == 1
    assert len(provider.requests) == len(warnings(caplog)) == 1
    clock.now += 0.5
    provider.away = False
    assert await outcome(verifier, token) == f"oauth:{provider.issuer}|alice"


async def test_nothing_listens_where_the_issuer_should_be(caplog: pytest.LogCaptureFixture) -> None:
    with OidcProvider() as provider:
        token = provider.token()
    assert await outcome(verifier_of(provider.issuer, Clock()), token) == "issuer_unavailable"
    assert len(warnings(caplog)) == 1


async def test_one_fetch_serves_all_who_wait_and_outlives_each_of_them(
    provider: OidcProvider, verifier: OAuthVerifier
) -> None:
    release = threading.Event()
    provider.pages[JWKS] = held(release, fault.answer({"keys": provider.keys}))
    found: list[str] = []

    async def verify(token: str) -> None:
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:

            async def leave() -> None:
                await asked(provider, 1)
                first.cancel()

            tasks.start_soon(leave)
            await verifier.verify(provider.token())
        assert first.cancelled_caught
        for number in range(20):
            tasks.start_soon(verify, provider.token(sub=f"caller-{number}"))
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert sorted(found) == sorted(f"oauth:{provider.issuer}|caller-{number}" for number in range(20))
    assert provider.fetches == 1


async def test_a_new_key_is_found_when_the_pause_is_over_and_the_old_one_is_gone_then(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock
) -> None:
    await verifier.prefetch()
    old = provider.token()
    assert await outcome(verifier, old) == f"oauth:{provider.issuer}|alice"
    provider.publish(Signer("key-2"))
    new = provider.token()
    assert await outcome(verifier, new) == "unknown_key"
    clock.now += PAUSE
    assert set(await outcomes(verifier, [new] * 10)) == {f"oauth:{provider.issuer}|alice"}
    assert await outcome(verifier, old) == "unknown_key"
    assert provider.fetches == 2


@pytest.mark.parametrize("key_id", [None, "the-same"])
async def test_a_new_key_is_found_even_where_its_id_does_not_tell(key_id: str | None) -> None:
    clock = Clock()
    with OidcProvider(Signer(key_id)) as provider:
        verifier = verifier_of(provider.issuer, clock)
        await verifier.prefetch()
        provider.publish(Signer(key_id))
        assert await outcome(verifier, provider.token()) == "signature"
        clock.now += PAUSE
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"


@pytest.mark.parametrize("make", [lambda number: Signer(f"made-up-{number}"), lambda _: Signer()])
async def test_made_up_tokens_cannot_make_us_ask_more_often(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, make: Callable[[int], Signer]
) -> None:
    forged = [make(number).token(provider.claims()) for number in range(50)]
    for fetches in (1, 2, 3):
        for _ in range(2):
            assert set(await outcomes(verifier, forged)) <= {"unknown_key", "signature"}
            # Beside those, the first token of all needs the keys themselves.
            assert provider.fetches == fetches
        clock.now += PAUSE


async def test_keys_are_good_for_a_day_while_the_issuer_is_away(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await verifier.prefetch()
    provider.away = True
    for _ in range(24):
        clock.now += HOUR - 2
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"
        await verifier.prefetch()  # waits for the fetch in the background
    assert "another 1 minutes" in warnings(caplog)[-1]
    for _ in range(2):  # with the pause, and without
        assert await outcome(verifier, Signer("key-2").token(provider.claims())) == "issuer_unavailable"
        assert await outcome(verifier, Signer().token(provider.claims())) == "signature"
        clock.now += PAUSE
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    provider.away = False
    clock.now += PAUSE
    assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"


async def test_old_keys_are_replaced_in_the_background(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock
) -> None:
    await verifier.prefetch()
    withdrawn = provider.token()
    clock.now += HOUR
    assert await outcome(verifier, withdrawn) == f"oauth:{provider.issuer}|alice"
    assert provider.fetches == 1
    release = threading.Event()
    provider.publish(Signer("key-2"))
    provider.pages[JWKS] = held(release, fault.answer({"keys": provider.keys}))
    clock.now += 1
    assert await outcome(verifier, withdrawn) == f"oauth:{provider.issuer}|alice"  # nobody waits
    await asked(provider, 2)
    release.set()
    await verifier.prefetch()  # waits for the fetch under way
    assert await outcome(verifier, withdrawn) == "unknown_key"
    assert provider.fetches == 2


async def test_closing_ends_the_fetch_under_way(
    provider: OidcProvider, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    provider.pages[JWKS] = fault.silent
    found: list[str] = []

    async def verify() -> None:
        found.append(await outcome(verifier, provider.token()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(verify)
        await asked(provider, 1)
        await verifier.aclose()
    assert found == ["issuer_unavailable"]
    assert warnings(caplog) == []  # nothing failed
    provider.wait_for_disconnect()
    await verifier.aclose()


UNUSABLE = unusable_keys()


@pytest.mark.parametrize("member", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_key_that_cannot_be_used_spoils_no_other(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, member: object
) -> None:
    provider.keys = [member]
    assert await outcome(verifier, provider.token()) == "issuer_unavailable"
    good = Signer("good")
    provider.keys = [member, good.jwk, member]
    clock.now += PAUSE
    assert await outcome(verifier, good.token(provider.claims())) == f"oauth:{provider.issuer}|alice"


async def test_what_is_told_of_a_fetch_is_two_numbers(
    provider: OidcProvider, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "callers_mcp")
    provider.keys += [{}, Signer("key-2").jwk]
    caller = await verifier.verify(provider.token())
    assert isinstance(caller, Principal)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("callers_mcp")]
    assert [re.findall(r"\d+", message) for message in ours] == [["2", "1"]]
