"""What the tests of logs share."""

import logging
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return what has been written to stderr since the last look; undo what ``logs.configure`` does to logging."""
    loggers = [logging.getLogger(name) for name in (None, "callers_mcp", "stamina")]
    levels, handlers = [logger.level for logger in loggers], logging.root.handlers[:]
    yield lambda: capfd.readouterr().err
    logging.root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
