"""The rate limit while its Redis is down, silent, restarted, or something else: look-ups go on, and the log says so."""

import asyncio
import gc
import logging
import signal
import time
from pathlib import Path

import anyio
import pytest

from callers_mcp.http.ops import rate_limit
from callers_mcp.http.ops.rate_limit import RateLimiter
from tests.support.constants import PATIENCE
from tests.support.rate_limits import ALICE, BOB, admitted
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")

PASSWORD = "a-p%40ss-word"  # of "a-p@ss-word"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parts
async def test_while_redis_is_down_look_ups_go_on_and_the_log_says_so_once(
    redis_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_STORE_RETRY_SECONDS", 0.05)
    server = RedisServer(redis_folder)
    with server:
        limiter = RateLimiter("5/hour", server.url)
        assert await admitted(limiter, ALICE, 9) == 5
    assert await admitted(limiter, ALICE, 9) == 9
    await asyncio.sleep(0.05)  # the next is sent to the store
    assert await admitted(limiter, ALICE, 9) == 9
    assert errors(caplog) == [
        "the rate limit is not applied: the store failed (no connection); fix the store or "
        "CALLERS_HTTP_RATE_LIMIT_STORAGE"
    ]
    with server:
        deadline = time.monotonic() + PATIENCE
        while not (words := [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]):
            assert time.monotonic() < deadline
            await admitted(limiter, BOB, 1)
        assert await admitted(limiter, ALICE, 9) == 5
        assert words[0].startswith("the rate limit works again; ")
        assert int(words[0].split()[5]) >= 18
        await limiter.aclose()


@pytest.mark.parts
async def test_a_restarted_redis_is_used_as_before(redis_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(redis_folder)
    with server:
        limiter = RateLimiter("5/hour", server.url)
        assert await admitted(limiter, ALICE, 9) == 5
    with server:
        assert await admitted(limiter, ALICE, 9) == 5
        await limiter.aclose()
    assert not caplog.records


@pytest.mark.parts
async def test_a_silent_redis_delays_one_look_up_for_a_moment_and_the_next_ones_not_at_all(
    redis_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(redis_folder) as server:
        with monkeypatch.context() as bounded:
            # Of each connection, as asyncio can lose the whole one.
            bounded.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE / 12)
            limiter = RateLimiter("1/hour", server.url + "?socket_timeout=600")
        await limiter.admit(ALICE)
        server.send(signal.SIGSTOP)
        monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", 0.05)
        async with asyncio.timeout(PATIENCE):
            assert await admitted(limiter, ALICE, 1_000) == 1_000  # far more than there are connections
        assert "no response in time" in errors(caplog)[0]

        def goes_on_at_once() -> bool:
            try:
                limiter.admit(ALICE).send(None)
            except StopIteration:
                return True
            return False  # it waits for something

        assert goes_on_at_once()
        monkeypatch.setattr(limiter._window, "_retry_at", 0.0)  # time passes
        async with asyncio.TaskGroup() as group:
            group.create_task(limiter.admit(ALICE))
            await asyncio.sleep(0)
            assert all(goes_on_at_once() for _ in range(100))

        monkeypatch.setattr(limiter._window, "_retry_at", 0.0)
        monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE)
        server.send(signal.SIGCONT)
        await limiter.admit(BOB)
        assert await admitted(limiter, ALICE, 3) == 0
        await limiter.aclose()


@pytest.mark.parts
async def test_cancelled_look_ups_use_up_no_connections(redis_folder: Path) -> None:
    with RedisServer(redis_folder) as server:
        limiter = RateLimiter("1/hour", server.url)
        await limiter.admit(ALICE)
        server.send(signal.SIGSTOP)
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(limiter.admit, BOB)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        server.send(signal.SIGCONT)
        assert await admitted(limiter, ALICE, 20) == 0
        await limiter.aclose()


@pytest.mark.parts
async def test_the_password_is_used_and_never_shown(redis_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(redis_folder, "--requirepass", "a-p@ss-word") as server:
        good = RateLimiter("1/hour", server.url.replace("//", f"//:{PASSWORD}@"))
        assert await admitted(good, ALICE, 2) == 1
        bad = RateLimiter("1/hour", server.url.replace("//", f"//:{PASSWORD}2@"))
        assert await admitted(bad, ALICE, 2) == 2
        assert "it refused the password" in errors(caplog)[0]
        shown = caplog.text + repr(good) + repr(good._window) + repr(vars(good._window))
        await good.aclose()
        await bad.aclose()
    down = RateLimiter("1/hour", server.url.replace("//", f"//:{PASSWORD}@"))
    await down.admit(ALICE)
    shown += caplog.text
    await down.aclose()
    assert "ss-word" not in shown


async def test_another_server_than_redis_stops_no_look_up(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        limiter = RateLimiter("1/hour", f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}")
        assert await admitted(limiter, ALICE, 3) == 3
        await limiter.aclose()
    assert len(errors(caplog)) == 1
    gc.collect()


@pytest.mark.parametrize(
    ("answer", "count"),
    [(b":0", 3), (b":1", 0), (b":60", 0), (b":61", 3), (b":-5", 3), (b"$400\r\n" + b"9" * 400, 3), (b"+soon", 3)],
)
async def test_only_a_time_within_the_span_is_believed(
    answer: bytes, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while parts := int((await reader.readline())[1:] or b"0"):
            words = [await reader.readexactly(int((await reader.readline())[1:]) + 2) for _ in range(parts)]
            writer.write((answer if words[0] == b"EVAL\r\n" else b"+OK") + b"\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as store:
        limiter = RateLimiter("9/minute", f"redis://127.0.0.1:{store.sockets[0].getsockname()[1]}?protocol=2")
        assert await admitted(limiter, ALICE, 3) == count
        await limiter.aclose()
    is_believed = answer in (b":0", b":1", b":60")
    assert ["its answer is not a number of seconds" in error for error in errors(caplog)] == [True] * (not is_believed)
