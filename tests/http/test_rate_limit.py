"""How often each caller may look up a campaign, counted in one process or in a Redis that several share."""

import asyncio
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from callers_mcp.access import UNRESTRICTED, Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.http.ops import rate_limit
from callers_mcp.http.ops.rate_limit import RateLimiter, check_storage, parse_rate
from tests.support.constants import PATIENCE
from tests.support.rate_limits import ALICE, BOB, admitted
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture(scope="module")
def redis(redis_folder: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_folder) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.parts)])
def storage(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty store."""
    if request.param == "memory":
        return "memory://"
    server: RedisServer = request.getfixturevalue("redis")
    server.clear()
    return server.url


@pytest.fixture
async def limited(storage: str) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter("3/hour", storage)
    yield limiter
    await limiter.aclose()


async def test_a_caller_over_the_limit_is_told_which_limit_it_is_and_when_to_try_again(limited: RateLimiter) -> None:
    started = time.monotonic()
    assert await admitted(limited, ALICE, 3) == 3
    with pytest.raises(RateLimited) as refused:
        await limited.admit(ALICE)
    seconds = refused.value.retry_after_seconds
    assert isinstance(seconds, int)
    assert 3600 - (time.monotonic() - started) <= seconds <= 3600
    assert refused.value.message == (
        "You have reached this server's limit of 3 look-ups per hour. No request was sent to the Callers API. "
        f"Try again in {seconds} seconds."
    )
    assert refused.value.details()["http_status"] is None
    assert refused.value.retryable
    assert not refused.value.transient


@pytest.mark.parametrize(
    "other", [BOB.name, "token:alice/3", "token:alice\n", "oauth:https://id.example|alice", "token:\udce4", ""]
)
async def test_the_limit_of_one_caller_does_not_affect_another(limited: RateLimiter, other: str) -> None:
    await admitted(limited, ALICE, 9)
    assert await admitted(limited, Principal(other, UNRESTRICTED), 9) == 3


async def test_after_the_named_seconds_there_is_room(storage: str) -> None:
    limiter = RateLimiter("2 per 1 second", storage)
    with pytest.raises(RateLimited, match=r"2 look-ups per second.*Try again in 1 second[.]") as refused:
        while True:  # three within a second, which a busy machine may miss at first
            await limiter.admit(ALICE)
    await asyncio.sleep(refused.value.retry_after_seconds or 0)
    await limiter.admit(ALICE)
    await limiter.aclose()


async def test_a_burst_reaches_exactly_the_limit(storage: str) -> None:
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
from callers_mcp.http.ops import rate_limit
from callers_mcp.http.ops.rate_limit import RateLimiter

rate_limit._TIMEOUT_SECONDS = 20.0  # on a busy machine too

async def main():
    limiter, admitted = RateLimiter("100/hour", sys.argv[1]), 0
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(60):  # so that each needs some of the 100, whichever is faster
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


@pytest.mark.parts
def test_two_processes_reach_exactly_the_limit_together_and_leave_nothing_open(redis: RedisServer) -> None:
    redis.clear()
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
    assert max(counts) <= 60


NO_RATES = """120 | minute | 0/minute | -1/minute | 10001/minute | 1/fortnight | 10/minute;5/hour | 1/2 months"""


@pytest.mark.parametrize("text", ["", *NO_RATES.split(" | "), pytest.param("9" * 5000 + "/minute", id="digits")])
def test_an_invalid_rate_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="such as 120/minute") as refused:
        parse_rate(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory://", "redis://h", "valkey://:p@h:1/0", "valkeys://h", "rediss://u:p@[::1]:1"])
def test_the_url_of_a_store_is_accepted(url: str) -> None:
    check_storage(url)


NO_STORES = """memory | memory://x | http://h | redis:h | redis:// | redis://:secret@ | redis://h:secret | redis://[
    | redis://:se/cret@h | redis://:se#cret@h | redis://h/secret | redis://h?secret=1 | redis://a b | redis://h:0
    | redis://h?db=secret | memcached://h | redis+unix:///secret"""


@pytest.mark.parametrize("url", ["", *(url.strip() for url in NO_STORES.split(" | "))])
def test_an_invalid_store_is_refused_in_one_line_without_the_url(url: str) -> None:
    with pytest.raises(ValueError, match="takes memory:// or redis://") as refused:
        check_storage(url)
    assert "\n" not in str(refused.value)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
