"""Whether a campaign shows its URLs whole, as CALLERS_REDACT_URLS says."""

from collections.abc import Iterator

import pytest

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.fault_server import FaultServer
from tests.support.lookups import found, look_up


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(fault.answer(campaign())) as server:
        yield server


SECRETS = campaign(
    webhooks=["https://hooks.example/in/secret-1?token=secret-2"], slackUrl="https://hooks.slack.com/secret-3"
)


async def test_urls_are_complete_by_default(server: FaultServer) -> None:
    server.script(fault.answer(SECRETS))
    assert found(await look_up(server)) == SECRETS


async def test_urls_keep_only_scheme_and_host_if_the_operator_sets_it(server: FaultServer) -> None:
    server.script(fault.answer(SECRETS))
    result = await look_up(server, redact_urls="on")
    raw = found(result)
    assert raw["webhooks"] == ["https://hooks.example/[redacted]"]
    assert raw["slackUrl"] == "https://hooks.slack.com/[redacted]"
    assert {name: value for name, value in raw.items() if name not in ("webhooks", "slackUrl")} == {
        name: value for name, value in SECRETS.items() if name not in ("webhooks", "slackUrl")
    }
    assert "secret-" not in result.model_dump_json()
    assert result.structured_content
    assert any("[redacted]" in sentence for sentence in result.structured_content["summary"]["worth_checking"])
