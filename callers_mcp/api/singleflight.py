"""Shares one request between identical look-ups at the same time, each with its own deadline.

Each caller can be cancelled separately. When the last caller has left, the request is cancelled. Answers are not kept:
a look-up that starts after the answer makes a new request.
"""

import copy
import secrets
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio.abc import TaskGroup

from callers_mcp.access import Principal
from callers_mcp.api.errors import CallersError, Unreachable
from callers_mcp.api.retry import OnRetry, RetryPolicy

ResultT = TypeVar("ResultT")


class InFlightRequest(Generic[ResultT]):
    """A request in flight, with its retries, and the callers that wait for it.

    Attributes:
        request_id: Sent to the API as ``X-Request-Id``; the same for all callers.
        attempts: How many requests were made.
        principals: On whose behalf the callers wait.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.request_id = secrets.token_hex(8)
        self.attempts = 0
        self.principals: list[Principal] = []
        self._deadlines: list[float] = []  # of the waiting callers
        self._retries: list[tuple[int, str]] = []
        self._updated = anyio.Event()
        self._done = False
        self._scope = anyio.CancelScope()
        self._started_at = anyio.current_time()
        self._outcome: ResultT | Exception = Unreachable("This server is closing", "Try again in a moment.")

    async def run(self, attempt: "Attempt[ResultT]") -> None:
        """Make the request, and pass the result to the waiting callers."""

        async def counted() -> ResultT:
            self.attempts += 1
            return await attempt(self)

        try:
            with self._scope:
                self._outcome = await self._policy.run(counted, self._deadline, self._publish_retry)
        except Exception as error:
            self._outcome = error
        finally:
            self._done = True
            self._updated.set()

    async def result(self, principal: Principal, on_retry: OnRetry | None) -> ResultT:
        """Wait for the answer, at most until the deadline of the scope that the caller is in.

        Args:
            principal: As for ``get_or_start``.
            on_retry: Called after each failed attempt that is followed by another.

        Raises:
            CallersError: The request failed.
        """
        deadline = anyio.current_effective_deadline()
        self._deadlines.append(deadline)
        try:
            await self._forward_retries(on_retry)
        finally:
            self._deadlines.remove(deadline)
            self.principals.remove(principal)
            if not self._deadlines and not self._done:
                self._scope.cancel()
        outcome = self._outcome
        if not isinstance(outcome, Exception):
            return outcome
        if not isinstance(outcome, CallersError):  # all callers share it, with its traceback
            raise RuntimeError("A bug stopped the request") from outcome
        error = copy.copy(outcome)  # each caller raises it with a separate traceback
        error.attempts = self.attempts
        raise error

    async def _forward_retries(self, on_retry: OnRetry | None) -> None:
        """Wait until the request is done, and report retries to one caller, so that a slow caller blocks no other."""
        forwarded = len(self._retries)
        while True:
            updated = self._updated
            while forwarded < len(self._retries):
                forwarded += 1
                if on_retry:
                    await on_retry(*self._retries[forwarded - 1])
            if self._done:
                return
            await updated.wait()

    def is_joinable(self) -> bool:
        """Return whether a new caller should wait for this request: it is not cancelled, and it is not too old.

        Without a limit on the age, a series of callers could all wait for a request that hangs.
        """
        return not self._scope.cancel_called and anyio.current_time() - self._started_at < self._policy.timeout / 2

    def _deadline(self) -> float:
        return max(self._deadlines, default=0)

    async def _publish_retry(self, attempt: int, reason: str) -> None:
        self._retries.append((attempt, reason))
        updated, self._updated = self._updated, anyio.Event()
        updated.set()


Attempt = Callable[[InFlightRequest[ResultT]], Awaitable[ResultT]]
"""Makes a request."""


class SingleFlight:
    """The requests in flight; they run inside the ``async with`` block.

    Args:
        policy: How often a request is made. A new caller joins one that is younger than half of its timeout.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._in_flight: dict[Hashable, InFlightRequest[Any]] = {}
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._tasks is not None:
            tasks, self._tasks = self._tasks, None
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)  # so an error of the block is not wrapped in an exception group

    def get_or_start(
        self, key: Hashable, attempt: Attempt[ResultT], principal: Principal
    ) -> tuple[InFlightRequest[ResultT], bool]:
        """Return the request of ``key``, and whether it was in flight before. The caller must await its ``result``.

        Args:
            key: Identifies what is requested.
            attempt: Makes the request.
            principal: On whose behalf the caller waits.

        Raises:
            RuntimeError: The ``async with`` block was not entered.
        """
        in_flight = self._in_flight.get(key)
        if in_flight is not None and in_flight.is_joinable():
            in_flight.principals.append(principal)
            return in_flight, True
        if self._tasks is None:
            raise RuntimeError("Enter the client's `async with` block before you look up.")
        started = self._in_flight[key] = InFlightRequest[ResultT](self._policy)
        started.principals.append(principal)

        async def run() -> None:
            try:
                await started.run(attempt)
            finally:
                if self._in_flight.get(key) is started:
                    del self._in_flight[key]

        self._tasks.start_soon(run)
        return started, False
