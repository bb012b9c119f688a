"""The rate limit per caller, counted in this process or in a Redis that several servers share.

It uses a moving window: at most so many look-ups in any span of that length. This allows no burst between two spans,
and shows when the next look-up is allowed. It stores one number per look-up in the span.
"""

import asyncio
import hashlib
import logging
import math
import re
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import anyio

from callers_mcp.access import Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.settings import HTTP_PREFIX

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

_MEMORY = "memory://"
_REDIS = re.compile(  # Valkey speaks Redis's protocol
    r"(?:redis|valkey)(s?)(://(?:[^@/?#]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]*)?(?:/[0-9]{0,4})?(?:\?[^#]*)?)",
    re.ASCII,
)
_RATE = re.compile(r"\s*([0-9]{1,5})\s*(?:/|per\b)\s*([0-9]{0,9})\s*(second|minute|hour|day|month)s?\s*", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 30 * 86_400}
_MAX_LOOKUPS = 10_000  # in a window; limits the memory per caller
_MAX_WINDOW_SECONDS = 31 * 86_400

_TIMEOUT_SECONDS = 0.5  # to connect to the store, and again for its response
_MAX_CONNECTIONS = 16
_STORE_RETRY_SECONDS = 5.0  # until a failed store is tried again

# Counts a look-up in a list of the times of the last ones. Returns 0, or the whole seconds until there is room. It uses
# the store's clock.
_COUNT = """
local time = redis.call('TIME')
local now, amount, span = time[1] + time[2] / 1000000, tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], -amount)
if oldest and now < oldest + span then
    return math.min(math.floor(oldest + span - now) + 1, span)
end
redis.call('RPUSH', KEYS[1], string.format('%.6f', now))
redis.call('LTRIM', KEYS[1], -amount, -1)
redis.call('EXPIRE', KEYS[1], span)
return 0
"""

logger = logging.getLogger(__name__)


class Rate(NamedTuple):
    """At most ``amount`` look-ups in any ``seconds``, which ``span`` has in words."""

    amount: int
    seconds: int
    span: str


def parse_rate(text: str) -> Rate:
    """Read a rate, such as ``120/minute`` or ``10 per 5 seconds``.

    Raises:
        ValueError: It is not a valid rate; one line that says what is.
    """
    if match := _RATE.fullmatch(text):
        amount, multiples, unit = int(match[1]), int(match[2] or 1), match[3].lower()
        seconds = multiples * _SECONDS[unit]
        if 1 <= amount <= _MAX_LOOKUPS and 1 <= seconds <= _MAX_WINDOW_SECONDS:
            return Rate(amount, seconds, unit if multiples == 1 else f"{multiples} {unit}s")
    raise ValueError(f"takes one rate, such as 120/minute: 1 to {_MAX_LOOKUPS} look-ups in a span of at most 31 days")


def check_storage(url: str) -> None:
    """Check that ``url`` names a supported store, without connecting to it.

    Raises:
        ValueError: It does not; one line without any part of the URL, which may contain a password.
    """
    try:
        if url != _MEMORY:
            # This refuses unknown options. redis has no types for it.
            _pool(url).make_connection()  # type: ignore[no-untyped-call]
    except Exception:
        raise ValueError(
            "takes memory:// or redis://[[user]:password@]host[:port][/number], or rediss:// with TLS; special "
            "characters in a password are percent-encoded, such as %40 for @"
        ) from None


class RateLimiter:
    """Admits each caller's look-ups up to a rate.

    If the store is down or slow, look-ups continue without a limit, and the log says how many.

    Args:
        rate: See ``parse_rate``.
        storage: See ``check_storage``.
    """

    def __init__(self, rate: str, storage: str) -> None:
        self._rate = parse_rate(rate)
        self._window = _MemoryWindow(self._rate) if storage == _MEMORY else _RedisWindow(self._rate, storage)

    async def admit(self, principal: Principal) -> None:
        """Count a look-up of ``principal``.

        Raises:
            RateLimited: It would exceed the limit.
        """
        # A digest, because names are the callers' and this one is sent to the store.
        key = hashlib.sha256(principal.name.encode(errors="surrogatepass")).hexdigest()
        seconds = await self._window.count(key)
        if not seconds:
            return
        error = RateLimited(
            f"You have reached this server's limit of {self._rate.amount} look-ups per {self._rate.span}. No request "
            f"was sent to the Callers API. Try again in {seconds} second{'s' if seconds > 1 else ''}.",
            retry_after_seconds=seconds,
        )
        error.transient = False  # so that it is not retried here: the caller has to wait
        raise error

    async def aclose(self) -> None:
        """Close the connections to the store."""
        await self._window.aclose()


class _MemoryWindow:
    """The windows of one process."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._times: dict[str, deque[float]] = {}
        self._next_sweep = 0.0

    async def count(self, key: str) -> int:
        """Count one more look-up and return 0, or return the seconds until it is allowed."""
        now = time.monotonic()
        expired = now - self._rate.seconds
        if now >= self._next_sweep:
            self._times = {other_key: times for other_key, times in self._times.items() if times[-1] > expired}
            self._next_sweep = now + self._rate.seconds
        times = self._times.setdefault(key, deque(maxlen=self._rate.amount))
        if len(times) == self._rate.amount and times[0] > expired:
            return math.floor(times[0] - expired) + 1  # also for a whole number: at that exact time there is no room
        times.append(now)
        return 0

    async def aclose(self) -> None:
        pass


class _RedisWindow:
    """The windows of all servers that use the same store."""

    def __init__(self, rate: Rate, url: str) -> None:
        from redis.asyncio import Redis

        self._rate = rate
        self._redis = Redis(connection_pool=_pool(url))
        self._free_connections = anyio.CapacityLimiter(_MAX_CONNECTIONS)
        self._retry_at = 0.0
        self._unlimited = 0

    async def count(self, key: str) -> int:
        """Count one more look-up and return 0, or return the seconds until it is allowed."""
        if time.monotonic() < self._retry_at:
            self._unlimited += 1
            return 0
        if self._unlimited:
            self._back_off()  # while this look-up tries the store, the others do not wait
        try:
            # Includes the wait for a free connection: without the limiter, the pool would refuse a burst.
            async with asyncio.timeout(2 * _TIMEOUT_SECONDS), self._free_connections:
                # redis has no types for this method.
                arguments = f"callers_mcp/{key}", self._rate.amount, self._rate.seconds
                seconds = int(await self._redis.execute_command("EVAL", _COUNT, 1, *arguments))  # type: ignore[no-untyped-call]
            if not 0 <= seconds <= self._rate.seconds:
                raise ValueError
        except Exception as error:  # no error of the store may stop the look-up
            if not self._unlimited:
                logger.error(
                    "the rate limit is not applied: the store failed (%s); fix the store or %sRATE_LIMIT_STORAGE",
                    _reason(error),
                    HTTP_PREFIX,
                )
            self._unlimited += 1
            self._back_off()
            return 0
        if self._unlimited:
            logger.warning("the rate limit works again; %d look-ups were not limited", self._unlimited)
            self._unlimited, self._retry_at = 0, 0.0
        return seconds

    def _back_off(self) -> None:
        self._retry_at = time.monotonic() + _STORE_RETRY_SECONDS

    async def aclose(self) -> None:
        with anyio.move_on_after(2 * _TIMEOUT_SECONDS, shield=True):
            await self._redis.connection_pool.aclose()


def _pool(url: str) -> "ConnectionPool":
    import redis
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    parts = _REDIS.fullmatch(url)
    if parts is None:
        raise ValueError
    pool: ConnectionPool = ConnectionPool.from_url(f"redis{parts[1]}{parts[2]}", max_connections=_MAX_CONNECTIONS)
    # Overrides the URL. Needed beside the overall timeout, which Python 3.11's asyncio.wait_for can lose.
    pool.connection_kwargs.update(
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        # One retry, for a connection that broke while it was idle. If a new one breaks too, the store is down.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return pool


def _reason(error: Exception) -> str:
    """Return why the store failed, without any part of its URL."""
    import redis

    if isinstance(error, redis.AuthenticationError):
        return "it refused the password"
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        return "no response in time"
    if isinstance(error, (OSError, redis.ConnectionError)):
        return "no connection"
    if isinstance(error, ValueError):
        return "its answer is not a number of seconds"
    return f"it returned an error, {type(error).__name__}"
