"""Two principals, and a function that counts how many look-ups a rate limiter admits."""

import asyncio

from callers_mcp.access import UNRESTRICTED, Principal
from callers_mcp.api.errors import RateLimited
from callers_mcp.http.ops.rate_limit import RateLimiter

ALICE, BOB = Principal("token:alice", UNRESTRICTED), Principal("token:bob", UNRESTRICTED)


async def admitted(limiter: RateLimiter, caller: Principal, tries: int) -> int:
    """Return how many of ``tries`` simultaneous look-ups are admitted."""

    async def one() -> bool:
        try:
            await limiter.admit(caller)
        except RateLimited:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(tries))))
