"""Retries within one deadline per look-up, which covers the attempts, the waits and the wait for a connection.

The limits are CALLERS_MAX_ATTEMPTS and CALLERS_TIMEOUT in ``callers_mcp/settings.py``.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from callers_mcp.api.errors import Advice, CallersError, DeadlineExceeded
from callers_mcp.settings import Settings, variable

ResultT = TypeVar("ResultT")

OnRetry = Callable[[int, str], Awaitable[None]]
"""Called after a failed attempt that is followed by another, with its number, from 1, and the reason."""


def deadline_error(settings: Settings) -> DeadlineExceeded:
    """Return the error of a look-up that exceeded its deadline."""
    return DeadlineExceeded(
        f"The Callers API did not answer within {settings.timeout:g} seconds.",
        Advice(
            f"Trying again may help; if it goes on, the operator raises {variable('timeout')}.",
            f"Trying again may help; if it goes on, raise {variable('timeout')}.",
        ),
    )


async def run_with_deadline(attempt: Callable[[], Awaitable[ResultT]], settings: Settings) -> ResultT:
    """Run ``attempt`` until it succeeds, fails for good, or ``CALLERS_TIMEOUT`` seconds have passed.

    Raises:
        DeadlineExceeded: The time is over.
        CallersError: What the last attempt raised.
    """
    with anyio.move_on_after(settings.timeout) as scope:
        return await with_retries(attempt, settings, lambda: scope.deadline, None)
    raise deadline_error(settings)


async def with_retries(
    attempt: Callable[[], Awaitable[ResultT]],
    settings: Settings,
    deadline: Callable[[], float],
    on_retry: OnRetry | None,
) -> ResultT:
    """Run ``attempt`` until it succeeds, or until another one can't help or can't be made before ``deadline``.

    Raises:
        CallersError: What the last attempt raised, with the number of attempts.
    """
    try:
        return await attempt()
    except CallersError as error:
        error.attempts = 1
        if settings.max_attempts == 1 or not _can_retry(error, deadline()):
            raise
        first_error = error
    return await _retry(attempt, first_error, settings, deadline, on_retry)


async def _retry(
    attempt: Callable[[], Awaitable[ResultT]],
    first_error: CallersError,
    settings: Settings,
    deadline: Callable[[], float],
    on_retry: OnRetry | None,
) -> ResultT:
    import stamina  # takes 3 % of the start-up time, and most servers never retry

    def should_retry(error: Exception) -> bool | float:
        if not isinstance(error, CallersError) or not _can_retry(error, deadline()):
            return False
        return True if error.retry_after_seconds is None else error.retry_after_seconds

    retries = stamina.retry_context(
        on=should_retry, attempts=settings.max_attempts, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3
    )
    async for retry in retries:
        with retry:
            try:
                if retry.num == 1:  # this attempt was made before, without loading stamina
                    raise first_error
                return await attempt()
            except CallersError as error:
                error.attempts = retry.num
                if on_retry and retry.num < settings.max_attempts and _can_retry(error, deadline()):
                    await on_retry(retry.num, error.reason)
                raise
    raise AssertionError("stamina raises the last error")


def _can_retry(error: CallersError, deadline: float) -> bool:
    """Return whether another attempt can help, and can start before the deadline."""
    return error.transient and anyio.current_time() + (error.retry_after_seconds or 0) < deadline
