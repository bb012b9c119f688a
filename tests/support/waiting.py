"""Waits until a condition is true. Use it instead of sleeping, which may be too short on a busy machine."""

import time
from collections.abc import Callable

from tests.support.constants import PATIENCE


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` returns true; fail with ``what`` if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"this did not become true: {what}"
        time.sleep(0.02)
