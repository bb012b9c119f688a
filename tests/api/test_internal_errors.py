"""A bug is logged with a reference, and told without details."""

import logging
import re
from collections.abc import Iterator

import pytest

from callers_mcp.api.errors import internal_error
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.fault_server import FaultServer
from tests.support.lookups import failure, look_up, told


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(fault.answer(campaign())) as server:
        yield server


async def test_a_bug_is_logged_with_the_reference_in_the_answer(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a detail for the log only")

    monkeypatch.setattr("callers_mcp.campaign.lookup.summarize", broken)
    with caplog.at_level(logging.ERROR):
        result = await look_up(server)
    assert (failure(result)["kind"], failure(result)["retryable"]) == ("internal", False)
    message = told(result)
    assert "bug in callers-mcp" in message
    assert "detail" not in message
    reference = re.search(r"reference ([0-9a-f]+)", message)
    assert reference
    (record,) = [record for record in caplog.records if reference[1] in record.getMessage()]
    assert record.exc_info
    assert isinstance(record.exc_info[1], RuntimeError)
    assert isinstance(record.exc_info[1].__cause__, ZeroDivisionError)


def test_a_module_that_is_not_there_any_more_is_told_as_an_upgrade() -> None:
    try:
        try:
            raise ImportError
        except ImportError as error:
            raise RuntimeError from error
    except RuntimeError:
        assert "upgraded or removed" in internal_error("a test").message
