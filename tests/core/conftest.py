"""Fixtures for the tests of logs."""

import logging
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return a function that returns the new text on stderr; afterwards, undo what ``logs.configure`` changed."""
    loggers = [logging.getLogger(name) for name in (None, "callers_mcp")]
    levels, handlers = [logger.level for logger in loggers], logging.root.handlers[:]
    yield lambda: capfd.readouterr().err
    logging.root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
