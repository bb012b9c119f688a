"""The rate limit per caller, counted in this process or in a Redis that several servers share.

It uses a moving window: at most so many look-ups in any span of that length. Only this strategy of ``limits`` allows no
burst between two spans, and knows when the next look-up is allowed. It stores one number per look-up in the span.
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
from callers_mcp.settings import HOST, HTTP_PREFIX

if TYPE_CHECKING:
    from limits import RateLimitItem
    from redis.asyncio import ConnectionPool

_MEMORY = "memory://"
_STORAGE_VARIABLE = f"{HTTP_PREFIX}RATE_LIMIT_STORAGE"  # not variable(): the settings import this module
_REDIS = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}  # Valkey speaks Redis's protocol
_NUMBER = re.compile(r"(/[0-9]{0,4})?")
_MAX_LOOKUPS = 10_000  # in a window; limits the memory per caller
_MAX_WINDOW_SECONDS = 31 * 86_400

_TIMEOUT_SECONDS = 0.5  # to connect to the store, and again for its response
_MAX_CONNECTIONS = 16
_STORE_RETRY_SECONDS = 5.0  # until a failed store is tried again
_LOG_INTERVAL_SECONDS = 30.0  # between two log records about an unavailable store

logger = logging.getLogger(__name__)


def parse_rate(text: str) -> "RateLimitItem":
    """Read a rate, such as ``120/minute`` or ``10 per 5 seconds``.

    Raises:
        ValueError: It is not a valid rate; one line that says what is.
    """
    import limits  # takes 0.25 s, so only servers with a limit import it

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
    """Check that ``url`` names a supported store, without connecting to it.

    Raises:
        ValueError: It does not; one line without any part of the URL, which may contain a password.
    """
    if url == _MEMORY:
        return
    try:
        parts = urlsplit(url)
        if parts.scheme not in _REDIS or not HOST.fullmatch(parts.hostname or "") or parts.fragment or parts.port == 0:
            raise ValueError
        if not _NUMBER.fullmatch(parts.path):
            raise ValueError
        _pool(url).make_connection()  # type: ignore[no-untyped-call]  # refuses unknown options
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

    def __init__(self, rate: str, storage: SecretStr | str) -> None:
        url = storage.get_secret_value() if isinstance(storage, SecretStr) else storage
        check_storage(url)
        self._rate = parse_rate(rate)
        self._window: _Window = _MemoryWindow(self._rate) if url == _MEMORY else _RedisWindow(self._rate, url)

    async def admit(self, principal: Principal) -> None:
        """Count a look-up of ``principal``.

        Raises:
            RateLimited: It would exceed the limit.
        """
        # A digest, because a name may contain the separator of a key's parts.
        key = hashlib.sha256(principal.name.encode(errors="surrogatepass")).hexdigest()
        seconds = await self._window.count(key)
        if not seconds:
            return
        span = self._rate.GRANULARITY.name
        if self._rate.multiples > 1:
            span = f"{self._rate.multiples} {span}s"
        error = RateLimited(
            f"You have reached this server's limit of {self._rate.amount} look-ups per {span}. No request was sent to "
            f"the Callers API. Try again in {seconds} second{'s' if seconds > 1 else ''}.",
            retry_after_seconds=seconds,
        )
        error.transient = False  # so that it is not retried here: the caller has to wait
        raise error

    async def aclose(self) -> None:
        """Close the connections to the store."""
        await self._window.aclose()


class _Window(Protocol):
    async def count(self, key: str) -> int:
        """Count one more look-up and return 0, or return the seconds until it is allowed."""

    async def aclose(self) -> None: ...


class _MemoryWindow:
    """The windows of one process.

    The memory storage of ``limits`` scans all callers at each look-up, which takes 75 ms with 1,000 callers.
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
    """The windows of all servers that use the same store."""

    def __init__(self, rate: "RateLimitItem", url: str) -> None:
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import MovingWindowRateLimiter

        self._rate = rate
        self._pool = _pool(url)
        # With a pool, limits makes no other connection and never gets the URL, which its errors would show.
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
            self._back_off()  # while this look-up tries the store, the others do not wait
        try:
            # Includes the wait for a free connection: without the limiter, the pool would refuse a burst.
            async with asyncio.timeout(2 * _TIMEOUT_SECONDS), self._free_connections:
                seconds = await self._hit(key)
        except Exception as error:  # no error of the store may stop the look-up
            self._failed = True
            self._back_off()
            self._log_unlimited(_reason(error))
            return 0
        if self._failed:
            self._failed, self._retry_at = False, 0.0
            logger.warning("the rate limit works again; %d more look-ups were not limited", self._unlimited)
            self._unlimited = 0
        return seconds

    async def _hit(self, key: str) -> int:
        if await self._limiter.hit(self._rate, key):
            return 0
        window = await self._limiter.get_window_stats(self._rate, key)
        # If there is room by now, or another machine's clock is wrong, this is still between 1 and the span.
        return min(_whole_seconds(0 if window.remaining else window.reset_time - time.time()), self._rate.get_expiry())

    def _back_off(self) -> None:
        self._retry_at = time.monotonic() + _STORE_RETRY_SECONDS

    def _log_unlimited(self, reason: str) -> None:
        """Count a look-up without a limit, and log the count at most once per interval."""
        self._unlimited += 1
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_SECONDS
            logger.error(
                "the rate limit was not applied to %d look-ups: the store failed (%s); fix the store or %s",
                self._unlimited,
                reason,
                _STORAGE_VARIABLE,
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
    return f"it returned an error, {type(error).__name__}"


def _whole_seconds(seconds: float) -> int:
    """Round up to the next whole second, also from a whole number: at that exact time there is no room yet."""
    return max(0, math.floor(seconds)) + 1
