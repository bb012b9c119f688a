"""How the issuer's keys are kept: fetched seldom, used while the issuer is down, and replaced when it has new ones."""

import json
import threading
from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread

from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import IssuerUnavailable
from tests.support import fault_server as fault
from tests.support.oauth_verifier import PAUSE, Clock, outcome, outcomes, verifier_of, warnings
from tests.support.oidc_provider import JWKS, OidcProvider, Signer, held

HOUR = 3600.0


async def fetched(provider: OidcProvider, times: int) -> None:
    """Wait until the keys have been requested so many times: a fetch is two requests."""
    await to_thread.run_sync(provider.wait_for_requests, 2 * times)


async def test_an_issuer_that_is_down_gets_one_request_in_each_pause(
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


async def test_other_calls_run_between_tiny_chunks_of_the_keys(provider: OidcProvider, verifier: OAuthVerifier) -> None:
    body = b" " * 5_000 + json.dumps({"keys": provider.keys}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    provider.pages[JWKS] = fault.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    turns, done = 0, False

    async def take_turns() -> None:
        nonlocal turns
        while not done:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"
        done = True
    assert turns >= len(body)


async def test_one_fetch_serves_all_callers_and_outlives_each_of_them(
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
                await fetched(provider, 1)
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


async def test_after_the_pause_a_new_key_is_found_and_the_old_one_is_gone(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock
) -> None:
    await verifier.keys.refresh()
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
async def test_a_new_key_is_found_even_if_its_id_is_not_new(key_id: str | None) -> None:
    clock = Clock()
    with OidcProvider(Signer(key_id)) as provider:
        verifier = verifier_of(provider.issuer, clock)
        await verifier.keys.refresh()
        provider.publish(Signer(key_id))
        assert await outcome(verifier, provider.token()) == "signature"
        clock.now += PAUSE
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"


@pytest.mark.parametrize("make", [lambda number: Signer(f"made-up-{number}"), lambda _: Signer()])
async def test_forged_tokens_do_not_cause_more_fetches(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, make: Callable[[int], Signer]
) -> None:
    forged = [make(number).token(provider.claims()) for number in range(50)]
    for fetches in (1, 2, 3):
        for _ in range(2):
            assert set(await outcomes(verifier, forged)) <= {"unknown_key", "signature"}
            # Beside those, the first token of all needs the keys themselves.
            assert provider.fetches == fetches
        clock.now += PAUSE


async def test_keys_are_used_for_a_day_while_the_issuer_is_down(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await verifier.keys.refresh()
    provider.away = True
    for _ in range(24):
        clock.now += HOUR - 2
        assert await outcome(verifier, provider.token()) == f"oauth:{provider.issuer}|alice"
        await verifier.keys.refresh()  # waits for the fetch in the background
    assert "The earlier ones are still used" in warnings(caplog)[-1]
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
    await verifier.keys.refresh()
    withdrawn = provider.token()
    clock.now += HOUR
    assert await outcome(verifier, withdrawn) == f"oauth:{provider.issuer}|alice"
    assert provider.fetches == 1
    release = threading.Event()
    provider.publish(Signer("key-2"))
    provider.pages[JWKS] = held(release, fault.answer({"keys": provider.keys}))
    clock.now += 1
    assert await outcome(verifier, withdrawn) == f"oauth:{provider.issuer}|alice"  # without waiting for the fetch
    await fetched(provider, 2)
    release.set()
    await verifier.keys.refresh()  # waits for the fetch under way
    assert await outcome(verifier, withdrawn) == "unknown_key"
    assert provider.fetches == 2


async def test_closing_cancels_the_running_fetch(
    provider: OidcProvider, verifier: OAuthVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    provider.pages[JWKS] = fault.silent
    found: list[str] = []

    async def verify() -> None:
        found.append(await outcome(verifier, provider.token()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(verify)
        await fetched(provider, 1)
        await verifier.keys.aclose()
    assert found == ["issuer_unavailable"]
    assert warnings(caplog) == []  # nothing failed
    provider.wait_for_disconnect()
    await verifier.keys.aclose()


async def test_keys_that_no_caller_asks_for_stay_usable_while_the_server_is_probed(
    provider: OidcProvider, verifier: OAuthVerifier, clock: Clock
) -> None:
    await verifier.keys.refresh()
    for times, hours in enumerate((1, 24, 24), 2):
        assert verifier.keys.problem is None
        clock.now += hours * HOUR + 1
        assert bool(verifier.keys.problem) == (not verifier.keys.usable) == (hours == 24)
        await fetched(provider, times)
        await verifier.keys.refresh()  # waits for the fetch under way
    assert provider.fetches == 4
