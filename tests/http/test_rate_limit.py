"""How often each caller may ask, counted in one process or in a real Redis that several share."""

import asyncio
import gc
import logging
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from pydantic import SecretStr

from callers_mcp.access import UNRESTRICTED, Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.http.ops import rate_limit
from callers_mcp.http.ops.rate_limit import RateLimiter, check_storage, parse_rate
from tests.support.constants import PATIENCE
from tests.support.redis_server import RedisServer

PASSWORD = "a-p%40ss-word"  # of "a-p@ss-word"
ALICE, BOB = Principal("token:alice", UNRESTRICTED), Principal("token:bob", UNRESTRICTED)


@pytest.fixture(scope="module")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="module")
def redis(redis_folder: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_folder) as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    server: RedisServer = request.getfixturevalue("redis")
    return f"redis://127.0.0.1:{server.port}/{2 + hash(request.node.name) % 14}"


@pytest.fixture
async def limited(storage: str) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter("3/hour", storage)
    yield limiter
    await limiter.aclose()


async def admitted(limiter: RateLimiter, caller: Principal, tries: int) -> int:
    """How many of so many look-ups at once are admitted."""

    async def one() -> bool:
        try:
            await limiter.admit(caller)
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(tries))))


async def test_a_caller_over_the_limit_is_told_whose_limit_it_is_and_when_to_try_again(limited: RateLimiter) -> None:
    started = time.monotonic()
    assert await admitted(limited, ALICE, 3) == 3
    with pytest.raises(RateLimited) as refused:
        await limited.admit(ALICE)
    seconds = refused.value.retry_after_seconds
    assert isinstance(seconds, int)
    assert 3600 - (time.monotonic() - started) <= seconds <= 3600
    assert refused.value.message == (
        "This server's limit for you is used up: 3 look-ups per hour. The Callers API was not asked. "
        f"Try again in {seconds} seconds."
    )
    assert refused.value.details()["http_status"] is None
    assert refused.value.retryable
    assert not refused.value.transient


@pytest.mark.parametrize(
    "other", [BOB.name, "token:alice/3", "token:alice\n", "oauth:https://id.example|alice", "token:\udce4", ""]
)
async def test_one_callers_limit_does_not_touch_anothers(limited: RateLimiter, other: str) -> None:
    await admitted(limited, ALICE, 9)
    assert await admitted(limited, Principal(other, UNRESTRICTED), 9) == 3


async def test_after_the_seconds_that_were_named_there_is_room(storage: str) -> None:
    limiter = RateLimiter("2 per 1 second", storage)
    assert await admitted(limiter, ALICE, 2) == 2
    with pytest.raises(RateLimited, match=r"2 look-ups per second.*Try again in 1 second[.]") as refused:
        await limiter.admit(ALICE)
    await asyncio.sleep(refused.value.retry_after_seconds or 0)
    assert await admitted(limiter, ALICE, 3) == 2
    await limiter.aclose()


async def test_a_burst_reaches_exactly_the_limit(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE)  # on a busy machine too
    limiter = RateLimiter("150/hour", storage)
    assert await admitted(limiter, ALICE, 400) == 150
    await limiter.aclose()


async def test_callers_of_the_past_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter, clock = RateLimiter("1/minute", "memory://"), time.monotonic
    tracemalloc.start()
    try:
        for number in range(1_000):
            await limiter.admit(Principal(f"token:{number}", UNRESTRICTED))
        held = tracemalloc.get_traced_memory()[0]
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
        assert await admitted(limiter, BOB, 2) == 1
        assert tracemalloc.get_traced_memory()[0] < held / 5
    finally:
        tracemalloc.stop()


async def test_the_window_moves_with_each_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    limiter = RateLimiter("2/minute", "memory://")
    for clock[0], caller, seconds in (
        (1000.5, BOB, 0),
        (1000.6, ALICE, 0),
        (1055.0, ALICE, 0),
        (1060.4, ALICE, 1),
        (1061.0, BOB, 0),
        (1062.0, ALICE, 0),
        (1063.0, ALICE, 53),
        (1115.5, ALICE, 0),
        (1116.0, ALICE, 7),
    ):
        if seconds:
            with pytest.raises(RateLimited, match=f"again in {seconds} second"):
                await limiter.admit(caller)
        else:
            await limiter.admit(caller)


_PROCESS = """
import asyncio, gc, sys
from callers_mcp.access import Principal, UNRESTRICTED
from callers_mcp.api.errors import RateLimited
from callers_mcp.http.ops.rate_limit import RateLimiter

async def main():
    limiter, admitted = RateLimiter("100/hour", sys.argv[1]), 0
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(100):
        try:
            await limiter.admit(Principal("token:alice", UNRESTRICTED))
            admitted += 1
        except RateLimited:
            pass
        await asyncio.sleep(0)
    await limiter.aclose()
    print(admitted)

asyncio.run(main())
gc.collect()
"""


def test_two_processes_reach_exactly_the_limit_together_and_leave_nothing_open(redis: RedisServer) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _PROCESS, redis.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [complaints for _, complaints in ends] == ["", ""]
    counts = [int(count) for count, _ in ends]
    assert sum(counts) == 100
    assert min(counts) > 0


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def test_while_redis_is_gone_look_ups_go_on_and_the_log_says_so_once(
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
        "the rate limit did not hold for 1 look-ups, which went on: of the store that "
        "CALLERS_HTTP_RATE_LIMIT_STORAGE names, there is no connection; the operator mends it or the setting"
    ]
    with server:
        deadline = time.monotonic() + PATIENCE
        while not (words := [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]):
            assert time.monotonic() < deadline
            await admitted(limiter, BOB, 1)
        assert await admitted(limiter, ALICE, 9) == 5
        assert words[0].startswith("the rate limit holds again; ")
        assert int(words[0].split()[5]) >= 17
        await limiter.aclose()


async def test_a_redis_that_was_started_again_is_used_as_before(
    redis_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(redis_folder)
    with server:
        limiter = RateLimiter("5/hour", server.url)
        assert await admitted(limiter, ALICE, 9) == 5
    with server:
        assert await admitted(limiter, ALICE, 9) == 5
        await limiter.aclose()
    assert not caplog.records


async def test_a_silent_redis_holds_up_a_look_up_for_a_moment_and_those_that_follow_not_at_all(
    redis_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(redis_folder) as server:
        limiter = RateLimiter("1/hour", server.url + "?socket_timeout=600")
        await limiter.admit(ALICE)
        server.send(signal.SIGSTOP)
        monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", 0.05)
        async with asyncio.timeout(PATIENCE):
            assert await admitted(limiter, ALICE, 1_000) == 1_000  # far more than there are connections
        assert "no answer came in time" in errors(caplog)[0]

        def goes_on_at_once() -> bool:
            try:
                limiter.admit(ALICE).send(None)
            except StopIteration:
                return True
            return False  # it waits for something

        assert goes_on_at_once()
        monkeypatch.setattr(limiter._window, "_left_alone_until", 0.0)  # time passes
        async with asyncio.TaskGroup() as group:
            group.create_task(limiter.admit(ALICE))
            await asyncio.sleep(0)
            assert all(goes_on_at_once() for _ in range(100))

        monkeypatch.setattr(limiter._window, "_left_alone_until", 0.0)
        monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE)
        server.send(signal.SIGCONT)
        await limiter.admit(BOB)
        assert await admitted(limiter, ALICE, 3) == 0
        await limiter.aclose()


async def test_look_ups_that_are_given_up_use_up_no_connections(
    redis_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE)
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


async def test_the_password_is_used_and_never_shown(redis_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(redis_folder, "--requirepass", "a-p@ss-word") as server:
        good = RateLimiter("1/hour", SecretStr(server.url.replace("//", f"//:{PASSWORD}@")))
        assert await admitted(good, ALICE, 2) == 1
        bad = RateLimiter("1/hour", server.url.replace("//", f"//:{PASSWORD}2@"))
        assert await admitted(bad, ALICE, 2) == 2
        assert "the password is refused" in errors(caplog)[0]
        shown = caplog.text + repr(good) + repr(good._window) + repr(vars(good._window))
        await good.aclose()
        await bad.aclose()
    down = RateLimiter("1/hour", server.url.replace("//", f"//:{PASSWORD}@"))
    await down.admit(ALICE)
    shown += caplog.text
    await down.aclose()
    assert "ss-word" not in shown


async def test_something_else_than_redis_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
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


NO_RATES = """120 | minute | 0/minute | -1/minute | 10001/minute | 1/fortnight | 10/minute;5/hour | 1/2 months"""


@pytest.mark.parametrize("text", ["", *NO_RATES.split(" | "), pytest.param("9" * 5000 + "/minute", id="digits")])
def test_what_is_no_rate_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="such as 120/minute") as refused:
        parse_rate(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory://", "redis://h", "valkey://:p@h:1/0", "valkeys://h", "rediss://u:p@[::1]:1"])
def test_what_names_a_store_is_taken(url: str) -> None:
    check_storage(url)


NO_STORES = """memory | memory://x | http://h | redis:h | redis:// | redis://:secret@ | redis://h:secret | redis://[
    | redis://:se/cret@h | redis://:se#cret@h | redis://h/secret | redis://h?secret=1 | redis://a b | redis://h:0
    | redis://h?db=secret | memcached://h | redis+unix:///secret"""


@pytest.mark.parametrize("url", ["", *(url.strip() for url in NO_STORES.split(" | "))])
def test_what_names_no_store_is_refused_in_one_line_without_the_url(url: str) -> None:
    with pytest.raises(ValueError, match="takes memory:// or redis://") as refused:
        check_storage(url)
    assert "\n" not in str(refused.value)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
