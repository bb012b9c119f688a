"""The log on stderr: each record is one line, and no line of a stack trace looks like one."""

import logging
from collections.abc import Callable

import pytest

from callers_mcp import Settings, logs
from tests.support.constants import KEY

FORGED = "2026-01-01 00:00:00,000 ERROR callers_mcp: forged"


@pytest.mark.parametrize(
    "separator", ["\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\x1b[2K\x1b[1G", "\x9b2K\x9b1G", "\u202e"]
)
def test_no_text_from_others_forges_a_log_line(log: Callable[[], str], separator: str) -> None:
    logs.configure(Settings.from_environment(api_key=KEY))
    logger, text = logging.getLogger("library"), f"evil{separator}{FORGED}"
    logger.warning("Invalid Host header: %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("It failed")
    lines = log().splitlines()
    assert [line.partition("library: ")[2][:9] for line in lines if not line.startswith("  ")] == [
        "Invalid H",
        "It failed",
    ]
    assert "forged" in lines[0]
    assert "forged" in lines[-1]
    assert all(line.isascii() and line.isprintable() for line in lines)
