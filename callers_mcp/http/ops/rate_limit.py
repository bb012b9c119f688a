"""How many look-ups each caller may make: counted here, or in a Redis that several servers share.

A moving window: so many look-ups in any span of that length. Of the strategies that ``limits`` has, it alone lets no
burst through where two spans meet, and knows when the next look-up is free. It costs a number for each within the span.
"""

import asyncio
import hashlib
import logging
import math
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import anyio
from pydantic import SecretStr

from callers_mcp.access import Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.settings import HTTP_PREFIX

if TYPE_CHECKING:
    from limits import RateLimitItem
    from redis.asyncio import ConnectionPool

_MEMORY = "memory"
_STORAGE_VARIABLE = f"{HTTP_PREFIX}RATE_LIMIT_STORAGE"  # the settings import this module, not the other way
_REDIS = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}  # Valkey speaks Redis's protocol
_HOST = re.compile(r"[0-9A-Za-z._:-]+")
_NUMBER = re.compile(r"(/[0-9]{0,4})?")
_MAX_LOOKUPS = 10_000  # in a window: what is kept of each caller
_MAX_WINDOW_SECONDS = 31 * 86_400

_TIMEOUT_SECONDS = 0.5  # for a connection to the store, and again for its answer
_MAX_CONNECTIONS = 16
_STORE_RETRY_SECONDS = 5.0  # for which a store that failed is left alone
_LOG_INTERVAL_SECONDS = 30.0  # between two records about a store that is down

logger = logging.getLogger(__name__)


def parse_rate(text: str) -> "RateLimitItem":
    """Read a rate, such as ``120/minute`` or ``10 per 5 seconds``.

    Raises:
        ValueError: It is none; one line that says what one is.
    """
    import limits  # a quarter of a second, for servers that limit

    try:
        rates = limits.parse_many(text)
    except ValueError:
        rates = []
    if len(rates) != 1 or not 1 <= rates[0].amount <= _MAX_LOOKUPS or rates[0].get_expiry() > _MAX_WINDOW_SECONDS:
        raise ValueError(
            f"takes one rate, such as 120/minute: 1 to {_MAX_LOOKUPS} look-ups in a span of at most 31 days"
        )
    return rates[0]


def check_storage(url: str) -> None:
    """Make sure that ``url`` names a store that can be used; nothing is connected.

    Raises:
        ValueError: It does not; one line, in which nothing of the URL stands, as that may hold a password.
    """
    if is_in_memory(url):
        return
    try:
        parts = urlsplit(url)
        if parts.scheme not in _REDIS or not _HOST.fullmatch(parts.hostname or "") or parts.fragment or parts.port == 0:
            raise ValueError
        if not _NUMBER.fullmatch(parts.path):
            raise ValueError
        _pool(url).make_connection()  # type: ignore[no-untyped-call]  # refuses what is no option of it
    except Exception:
        raise ValueError(
            "takes memory:// or redis://[[user]:password@]host[:port][/number], or rediss:// with TLS; what is special "
            "in a password is written as in any URL, such as %40 for @"
        ) from None


def is_in_memory(url: str) -> bool:
    """Tell whether ``url`` names the store that holds in one process alone."""
    return url == f"{_MEMORY}://"


class RateLimiter:
    """Admits a caller's look-ups up to a rate.

    A store that is down or slow stops nobody: the look-ups go on, and the log says for how many there was no limit.

    Args:
        rate: See ``parse_rate``.
        storage: See ``check_storage``.
    """

    def __init__(self, rate: str, storage: SecretStr | str) -> None:
        url = storage.get_secret_value() if isinstance(storage, SecretStr) else storage
        check_storage(url)
        self._rate = parse_rate(rate)
        self._window: _Window = _MemoryWindow(self._rate) if is_in_memory(url) else _RedisWindow(self._rate, url)

    async def admit(self, principal: Principal) -> None:
        """Count a look-up of ``principal``.

        Raises:
            RateLimited: It is one too many.
        """
        # A digest, as a name may hold what separates the parts of a key.
        key = hashlib.sha256(principal.name.encode(errors="surrogatepass")).hexdigest()
        seconds = await self._window.count(key)
        if not seconds:
            return
        span = self._rate.GRANULARITY.name
        if self._rate.multiples > 1:
            span = f"{self._rate.multiples} {span}s"
        error = RateLimited(
            f"This server's limit for you is used up: {self._rate.amount} look-ups per {span}. The Callers API was not "
            f"asked. Try again in {seconds} second{'s' if seconds > 1 else ''}.",
            retry_after_seconds=seconds,
        )
        error.transient = False  # it is for the caller to wait
        raise error

    async def aclose(self) -> None:
        """Close the connections to the store."""
        await self._window.aclose()


class _Window(Protocol):
    async def count(self, key: str) -> int:
        """Count one more look-up and return 0, or return the seconds after which there is room for it."""

    async def aclose(self) -> None: ...


class _MemoryWindow:
    """The windows of one process.

    Those of ``limits`` go through all their callers at each look-up: with 1,000 of them 75 ms.
    """

    def __init__(self, rate: "RateLimitItem") -> None:
        self._amount, self._span = rate.amount, rate.get_expiry()
        self._starts: dict[str, deque[float]] = {}
        self._next_sweep = 0.0

    async def count(self, key: str) -> int:
        now = time.monotonic()
        expired = now - self._span
        if now >= self._next_sweep:
            self._starts = {other_key: starts for other_key, starts in self._starts.items() if starts[-1] > expired}
            self._next_sweep = now + self._span
        starts = self._starts.setdefault(key, deque())
        while starts and starts[0] <= expired:
            starts.popleft()
        if len(starts) >= self._amount:
            return _whole_seconds(starts[0] - expired)
        starts.append(now)
        return 0

    async def aclose(self) -> None:
        self._starts.clear()


class _RedisWindow:
    """The windows of all servers that name the same store."""

    def __init__(self, rate: "RateLimitItem", url: str) -> None:
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import MovingWindowRateLimiter

        self._rate = rate
        self._pool = _pool(url)
        # limits makes no connection of its own then, and never sees the URL, which its errors would show.
        options: dict[str, Any] = {"connection_pool": self._pool}
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix="callers_mcp", **options)
        self._limiter = MovingWindowRateLimiter(storage)
        self._free_connections = anyio.CapacityLimiter(_MAX_CONNECTIONS)
        self._failed = False
        self._retry_at = 0.0
        self._unlimited = 0
        self._next_log_at = 0.0

    async def count(self, key: str) -> int:
        if time.monotonic() < self._retry_at:
            self._log_unlimited("it failed a moment ago")
            return 0
        if self._failed:
            self._back_off()  # while this look-up tries, the others need not wait
        try:
            # For all of it, the wait for a connection too; the pool alone would refuse a burst.
            async with asyncio.timeout(2 * _TIMEOUT_SECONDS), self._free_connections:
                seconds = await self._hit(key)
        except Exception as error:  # whatever goes wrong with the store must not stop the look-up
            self._failed = True
            self._back_off()
            self._log_unlimited(_reason(error))
            return 0
        if self._failed:
            self._failed, self._retry_at = False, 0.0
            logger.warning("the rate limit holds again; %d more look-ups went on without it", self._unlimited)
            self._unlimited = 0
        return seconds

    async def _hit(self, key: str) -> int:
        if await self._limiter.hit(self._rate, key):
            return 0
        window = await self._limiter.get_window_stats(self._rate, key)
        # Where there is room by now, or another machine's clock goes wrong, this is still between 1 and the span.
        return min(_whole_seconds(0 if window.remaining else window.reset_time - time.time()), self._rate.get_expiry())

    def _back_off(self) -> None:
        self._retry_at = time.monotonic() + _STORE_RETRY_SECONDS

    def _log_unlimited(self, reason: str) -> None:
        """Count a look-up that went on without a limit, and say so now and then."""
        self._unlimited += 1
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_SECONDS
            logger.error(
                "the rate limit did not hold for %d look-ups, which went on: of the store that %s names, %s; the "
                "operator mends it or the setting",
                self._unlimited,
                _STORAGE_VARIABLE,
                reason,
            )
            self._unlimited = 0

    async def aclose(self) -> None:
        with anyio.move_on_after(2 * _TIMEOUT_SECONDS, shield=True):
            await self._pool.aclose()


def _pool(url: str) -> "ConnectionPool":
    import redis
    from redis.asyncio import ConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    scheme, rest = url.split(":", 1)
    pool: ConnectionPool = ConnectionPool.from_url(f"{_REDIS[scheme]}:{rest}", max_connections=_MAX_CONNECTIONS)
    # Whatever the URL says, and beside the timeout for all of it: Python 3.11's asyncio.wait_for can lose that one.
    pool.connection_kwargs.update(
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        # Once, for a connection that broke since it was last used; where a new one breaks too, the store is down.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return pool


def _reason(error: Exception) -> str:
    """Say why the store did not count, in words that hold nothing of its URL."""
    import redis

    if isinstance(error, redis.AuthenticationError):
        return "the password is refused"
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        return "no answer came in time"
    if isinstance(error, (OSError, redis.ConnectionError)):
        return "there is no connection"
    return f"an error came back ({type(error).__name__})"


def _whole_seconds(seconds: float) -> int:
    """Round up, and a whole number too: in the very moment that it names there is no room yet."""
    return max(0, math.floor(seconds)) + 1
