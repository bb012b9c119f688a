"""``callers-mcp get`` looks up one campaign and prints the text that a model would receive."""

import json
import re
import threading
import time

import anyio
import pytest
from mcp import Client
from mcp_types import TextContent

from callers_mcp import Settings, create_server
from callers_mcp.sandbox import SUB_ORGANIZATION_ID
from tests.support.campaigns import campaign
from tests.support.command_line import run
from tests.support.constants import ID, KEY, SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION
from tests.support.fault_server import TICK, Exchange, FaultServer, answer

WITH_PROBLEMS = "665f1c2ab1e4a9d0c7f3b805"
"""A campaign of the sandbox whose name has odd characters."""


def test_get_prints_the_text_that_the_model_receives(
    sandbox_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, errors = run("get", SAMPLE_ID, environment=sandbox_environment)
    for name, value in sandbox_environment.items():
        monkeypatch.setenv(name, value)
    text = anyio.run(_text_for_a_model)
    assert (code, errors) == (0, "")
    assert _without_times(out) == _without_times(text + "\n")


async def _text_for_a_model() -> str:
    async with Client(create_server(Settings.from_environment())) as client:
        block = (await client.call_tool("get_campaign", {"campaign_id": SAMPLE_ID})).content[0]
        assert isinstance(block, TextContent)
        return block.text


def _without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\S+", "TIME", text)


def test_get_json_prints_the_structured_content(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run("get", SAMPLE_ID, "--json", environment=sandbox_environment)
    assert code == 0
    assert json.loads(out)["summary"]["id"] == json.loads(out)["raw"]["id"] == SAMPLE_ID


def test_get_raw_prints_only_the_raw_json(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run("get", WITH_PROBLEMS, "--raw", environment=sandbox_environment)
    assert code == 0
    assert json.loads(out)["name"].startswith("Sample: Win-back\u202e\n")
    assert out.count("\n") == 1


def test_get_finds_a_campaign_of_a_sub_organization(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run(
        "get", SAMPLE_IN_SUB_ORGANIZATION, "--sub-organization", SUB_ORGANIZATION_ID, environment=sandbox_environment
    )
    assert code == 0
    assert SUB_ORGANIZATION_ID in out


@pytest.mark.parametrize("command", [("get", SAMPLE_ID), ("check", "--campaign-id", SAMPLE_ID)])
def test_sandbox_looks_among_sample_campaigns_and_needs_no_key(command: tuple[str, ...]) -> None:
    code, out, errors = run(*command, "--sandbox", environment={"CALLERS_API_KEY_FILE": "/absent"})
    assert (code, errors) == (0, "")
    assert "Running outbound campaign" in out


def test_on_a_terminal_a_slow_answer_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_after_the_line(exchange: Exchange) -> None:
        while any(isinstance(thread, threading.Timer) for thread in threading.enumerate()):
            time.sleep(TICK)
        answer(campaign())(exchange)

    with FaultServer() as api:
        api.script(answer_after_the_line)
        environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
        monkeypatch.setattr("callers_mcp.cli.runtime._PROGRESS_SECONDS", 0)
        line = f"callers-mcp: waiting for {api.base_url} ...\n"
        assert run("get", ID, environment=environment, terminal=True)[::2] == (0, line)
        assert run("get", ID, environment=environment)[::2] == (0, "")


def test_a_quick_answer_is_not_announced(sandbox_environment: dict[str, str]) -> None:
    assert run("get", SAMPLE_ID, environment=sandbox_environment, terminal=True)[::2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "reason"),
    [
        (["0" * 24], {}, 1, "No campaign 000000000000000000000000"),
        (["nonsense"], {}, 2, "24 hexadecimal digits"),
        ([SAMPLE_ID, "--sub-organization", "a b"], {}, 2, "sub_organization_id"),
        ([], {}, 2, "Missing argument"),
        ([SAMPLE_ID], {"CALLERS_API_KEY": ""}, 2, "CALLERS_API_KEY_FILE. To use the settings of an installed server"),
        ([SAMPLE_ID], {"CALLERS_API_KEY": "wrong"}, 1, "refused the API key"),
        ([SAMPLE_ID], {"CALLERS_TIMEOUT": "soon"}, 2, "CALLERS_TIMEOUT"),
    ],
)
def test_get_reports_on_stderr_what_failed(
    sandbox_environment: dict[str, str], arguments: list[str], environment: dict[str, str], code: int, reason: str
) -> None:
    got, out, errors = run("get", *arguments, environment=sandbox_environment | environment)
    assert (got, out) == (code, "")
    assert reason in errors
    assert "Traceback" not in errors


def test_get_reports_the_settings_that_it_ignores(sandbox_environment: dict[str, str]) -> None:
    environment = sandbox_environment | {"CALLERS_TIMEOUTT": "1", "CALLERS_MAX_ATTEMPTS": "${x}"}
    code, _, errors = run("get", SAMPLE_ID, environment=environment)
    assert code == 0
    assert "did you mean CALLERS_TIMEOUT?" in errors
    assert "CALLERS_MAX_ATTEMPTS" in errors
