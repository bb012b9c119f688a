"""A bug while a resource is read."""

import logging
import re

import pytest
from mcp.client.client import ConnectMode

from callers_mcp.sandbox import Sandbox
from callers_mcp.server.card import CARD_URI
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import ID
from tests.support.fault_server import FaultServer
from tests.support.mcp_features import MODES, connect, kind, refused

URI = f"callers://campaigns/{ID}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("uri", "broken"),
    [(URI, "callers_mcp.campaign.lookup.summarize"), (CARD_URI, "callers_mcp.server.card.card_html")],
)
async def test_a_bug_is_answered_with_a_reference_to_the_log_and_without_pythons_words(
    sandbox: Sandbox,
    uri: str,
    broken: str,
    mode: ConnectMode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(broken, fail)
    with FaultServer(fault.answer(campaign())) as server, caplog.at_level(logging.ERROR, "callers_mcp"):
        async with connect(server, mode) as client:
            error = await refused(client.read_resource(uri))
    assert (error.code, kind(error)) == (-32603, "internal")
    assert "on purpose" not in error.model_dump_json()
    reference = re.search(r"reference ([0-9a-f]{8})", error.message)
    assert reference
    assert reference[1] in caplog.text
    assert "on purpose" in caplog.text
