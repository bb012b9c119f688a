"""Fixtures for the tests of access, files and logs."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.config_file import OLD
from tests.support.fault_server import FaultServer
from tests.support.principals import Door, by_client, by_mcp
from tests.support.stand_in_api import KNOWN


@pytest.fixture(params=[by_client, by_mcp], ids=["client", "mcp"])
def look_up(request: pytest.FixtureRequest) -> Door:
    """Return a way to look up a campaign for a principal: through the client, and through MCP."""
    door: Door = request.param
    return door


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """An API that returns the campaign."""
    with FaultServer(KNOWN) as server:
        yield server


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with the content ``OLD``."""
    path = tmp_path / "config.json"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return a function that returns the new text on stderr; afterwards, undo what ``logs.configure`` changed."""
    loggers = [logging.getLogger(name) for name in (None, "callers_mcp")]
    levels, handlers = [logger.level for logger in loggers], logging.root.handlers[:]
    yield lambda: capfd.readouterr().err
    logging.root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
