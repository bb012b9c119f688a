"""The examples run, and do what their docstrings say."""

import json
import re
from pathlib import Path

import pytest
from mcp import Client

from callers_mcp import Settings, create_server
from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support.constants import SAMPLE_ID
from tests.support.example_runs import EXAMPLES, run_here, run_process
from tests.support.lookups import call, failure, told

AGENTS = ["langchain_agent.py", "nightly_report.py", "openai_agents.py", "plain_client.py", "pydantic_ai_http.py"]
AGENTS += ["pydantic_ai_stdio.py"]


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == {
        "agent_workflow.py",
        "claude_desktop_config.json",
        "cron",  # in test_container_examples.py
        "hosted_look_up.py",  # in test_agent_examples.py
        "hosting",  # in test_hosting_examples.py, test_nginx_example.py and test_container_examples.py
        "langchain_agent.py",  # in tests/clients/test_clients.py
        "nightly_report.py",  # in test_nightly_report.py
        "openai_agents.py",  # in tests/clients/test_clients.py
        "plain_client.py",
        "pydantic_ai_http.py",  # in test_agent_examples.py
        "pydantic_ai_stdio.py",  # in test_agent_examples.py
    }


def lengths() -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in EXAMPLES.glob("*.py")}


def test_each_example_is_short() -> None:
    assert {name: lines for name, lines in lengths().items() if lines > 90} == {}
    assert max(lengths()[name] for name in ("langchain_agent.py", "openai_agents.py")) < 60


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_explains_at_its_top_how_to_use_a_real_model(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert re.search(r"\ba real (?:model|one)\b", text[:1000])


@pytest.mark.slow
def test_the_plain_client_has_at_most_35_lines_and_looks_up_a_campaign() -> None:
    assert lengths()["plain_client.py"] <= 35
    code, out, errors = run_here("plain_client.py", "--sandbox")
    assert (code, errors) == (0, "")
    assert out.startswith(f"{{'id': '{SAMPLE_ID}'")
    assert "'headline': 'Running outbound campaign" in out


def test_the_workflow_lists_what_needs_attention_and_what_is_worth_checking() -> None:
    code, out, errors = run_here("agent_workflow.py", "--sandbox")
    assert (code, errors) == (1, "")
    assert "! Its time zone" in out
    assert "? It is outbound without a number" in out
    assert len([line for line in out.splitlines() if " attention, " in line]) == 6


@pytest.mark.slow
def test_the_examples_run_from_a_shell_and_log_nothing(tmp_path: Path) -> None:
    code, out, errors = run_process("plain_client.py", "--sandbox")
    assert (code, errors) == (0, "")
    assert "'headline': 'Running outbound campaign" in out
    code, out, errors = run_process("agent_workflow.py", "--sandbox")
    assert (code, errors) == (1, "")
    assert "! Its time zone" in out
    code, out, errors = run_process("nightly_report.py", "--sandbox", "--saved", str(tmp_path / "saved.json"))
    assert (code, errors) == (0, "")
    assert "## Needs attention" in out


def arguments_of(example: str, tmp_path: Path, campaign_id: str) -> list[str]:
    """Return the arguments with which an example that starts its own server looks up a campaign."""
    given = {"agent_workflow.py": [campaign_id], "nightly_report.py": ["--saved", str(tmp_path / "saved.json")]}
    return given.get(example, [])


@pytest.mark.parametrize("example", ["plain_client.py", "agent_workflow.py", "nightly_report.py"])
@pytest.mark.parametrize(
    ("environment", "campaign_id", "reason"),
    [
        ({"CALLERS_API_KEY": ""}, SAMPLE_ID, "CALLERS_API_KEY"),
        ({"CALLERS_API_KEY": "wrong"}, SAMPLE_ID, "API key"),
        ({"CALLERS_BASE_URL": "http://127.0.0.1:9"}, SAMPLE_ID, "refused"),
        ({}, "0" * 24, "0" * 24),
    ],
    ids=["no key", "wrong key", "no API", "not found"],
)
def test_a_failure_ends_with_one_line_that_says_why(
    tmp_path: Path,
    sandbox_environment: dict[str, str],
    example: str,
    environment: dict[str, str],
    campaign_id: str,
    reason: str,
) -> None:
    given = sandbox_environment | {"CALLERS_ORGANIZATION_ID": ORGANIZATION_ID, "CALLERS_MAX_ATTEMPTS": "1"}
    if example == "plain_client.py" and not environment:
        given["CALLERS_ORGANIZATION_ID"] = "0" * 24  # it has no campaigns
        reason = "No campaign"
    arguments = arguments_of(example, tmp_path, campaign_id)
    code, out, errors = run_here(example, *arguments, given=campaign_id, environment=given | environment)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert "looked up" in errors
    assert reason in out + errors


@pytest.mark.slow
@pytest.mark.parametrize("example", ["plain_client.py", "agent_workflow.py", "nightly_report.py"])
def test_a_server_that_does_not_start_is_one_line_after_its_own(
    tmp_path: Path, sandbox_environment: dict[str, str], example: str
) -> None:
    environment = sandbox_environment | {"CALLERS_MAX_ATTEMPTS": "many"}
    arguments = arguments_of(example, tmp_path, SAMPLE_ID)
    code, out, errors = run_process(example, *arguments, given=SAMPLE_ID, environment=environment)
    assert (code, out) == (1, "")
    servers, ours = errors.splitlines()
    assert "CALLERS_MAX_ATTEMPTS" in servers
    assert ours.endswith(": Connection closed")


@pytest.mark.parametrize(
    ("lines", "code"),
    [([SAMPLE_ID], 0), ([SAMPLE_ID, "", "0" * 24], 1), ([], 2)],
    ids=["no problem", "one is not found", "no ids"],
)
def test_the_exit_code_of_the_workflow_shows_whether_something_needs_attention(
    tmp_path: Path, sandbox_environment: dict[str, str], lines: list[str], code: int
) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(lines))
    assert run_here("agent_workflow.py", "--file", str(file), environment=sandbox_environment)[0] == code


async def test_with_the_snippet_for_claude_desktop_the_server_reports_that_the_key_must_be_filled_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = json.loads((EXAMPLES / "claude_desktop_config.json").read_text())["mcpServers"]["callers"]
    assert Path(server["command"]).name == "callers-mcp"
    assert not server.get("args")
    for name, value in server["env"].items():
        monkeypatch.setenv(name, value)
    async with Client(create_server(Settings.from_environment())) as client:
        result = await call(client)
    assert failure(result)["kind"] == "not_configured"  # the key is still a placeholder
    assert "CALLERS_API_KEY" in told(result)
