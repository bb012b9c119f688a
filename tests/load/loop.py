"""The event loop of what must cost little beside the server."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def run(call: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run on uvloop, if it is installed: half the cost."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(call)
    return uvloop.run(call)
