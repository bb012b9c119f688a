"""The state of one look-up while it runs: its request, and how often it was tried."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.retry import OnRetry
from callers_mcp.api.singleflight import SingleFlight

ResultT = TypeVar("ResultT")


class LookupState:
    """What is known of a look-up while it runs."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.request: CampaignRequest | None = None
        self.attempts = 0
        self.shared = False
        self.request_id = ""

    async def run_shared(
        self,
        single_flight: SingleFlight,
        key: Hashable,
        attempt: Callable[[str], Awaitable[ResultT]],
        on_retry: OnRetry | None,
    ) -> ResultT:
        """Start the request of ``key``, or join the one in flight."""
        in_flight, self.shared = single_flight.get_or_start(key, attempt)
        self.request_id = in_flight.request_id
        try:
            return await in_flight.result(self._timeout, on_retry)
        finally:
            self.attempts = in_flight.attempts
