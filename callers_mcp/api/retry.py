"""Retries within one deadline per look-up, which covers the attempts, the waits and the wait for a connection.

The limits are CALLERS_MAX_ATTEMPTS and CALLERS_TIMEOUT in ``callers_mcp/settings.py``.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import anyio

from callers_mcp.api.errors import Advice, CallersError, DeadlineExceeded
from callers_mcp.settings import variable

ResultT = TypeVar("ResultT")

OnRetry = Callable[[int, str], Awaitable[None]]
"""Called after a failed attempt that is followed by another, with its number, from 1, and the reason."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and for how long a look-up tries.

    Attributes:
        max_attempts: Attempts of one look-up, the first included.
        timeout: Seconds for the whole look-up.
        max_wait_seconds: The longest wait between two attempts, unless the API requests another.
    """

    max_attempts: int
    timeout: float
    max_wait_seconds: ClassVar[float] = 5.0

    async def run(
        self,
        attempt: Callable[[], Awaitable[ResultT]],
        deadline: Callable[[], float],
        on_retry: OnRetry | None = None,
    ) -> ResultT:
        """Run ``attempt`` until it succeeds, or until another one can't help or can't be made before ``deadline``.

        Raises:
            CallersError: What the last attempt raised, with the number of attempts.
        """
        number = 0
        while True:
            number += 1
            try:
                return await attempt()
            except CallersError as error:
                error.attempts, requested = number, error.retry_after_seconds
                wait = self._backoff(number) if requested is None else max(requested, self._backoff(1))
                fits = anyio.current_time() + wait < deadline()
                if number >= self.max_attempts or not error.transient or not fits:
                    raise
                if on_retry:
                    await on_retry(number, error.reason)
            await anyio.sleep(wait)

    def _backoff(self, number: int) -> float:
        jitter = random.uniform(0, 0.3)  # noqa: S311 - not for security
        return min(0.2 * 2.0 ** (number - 1) + jitter, self.max_wait_seconds)

    async def run_with_deadline(self, attempt: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run ``attempt`` until it succeeds, fails for good, or the time is over.

        Raises:
            DeadlineExceeded: The time is over.
            CallersError: What the last attempt raised.
        """
        with limit_time(self.timeout):
            return await self.run(attempt, anyio.current_effective_deadline)


@contextmanager
def limit_time(seconds: float, ends_at: float | None = None) -> Iterator[None]:
    """Cancel what the block waits for after ``seconds``, or at ``ends_at``, a time of the event loop's clock.

    Raises:
        DeadlineExceeded: The time is over.
    """
    with anyio.CancelScope(deadline=anyio.current_time() + seconds if ends_at is None else ends_at) as scope:
        yield
    if scope.cancelled_caught:
        again, name = "Trying again may help; if it goes on,", variable("timeout")
        raise DeadlineExceeded(
            f"There was no answer within {seconds:g} seconds: the Callers API or this server is too slow.",
            Advice(f"{again} the operator raises {name}.", f"{again} raise {name}."),
        )
