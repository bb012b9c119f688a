"""The examples run, and do what their docstrings say."""

import json
import re
from pathlib import Path

import pytest
from mcp import Client

from callers_mcp import Settings, create_server
from tests.support.constants import SAMPLE_ID
from tests.support.example_runs import EXAMPLES, run_here, run_process
from tests.support.lookups import call, failure, told

AGENTS = ["nightly_report.py", "plain_client.py", "pydantic_ai_http.py", "pydantic_ai_stdio.py"]


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == {
        "agent_workflow.py",
        "claude_desktop_config.json",
        "hosted_look_up.py",  # in test_agent_examples.py
        "hosting",  # in test_hosting_examples.py, test_nginx_example.py and test_container_examples.py
        "nightly_report.py",  # in test_nightly_report.py
        "plain_client.py",
        "pydantic_ai_http.py",  # in test_agent_examples.py
        "pydantic_ai_stdio.py",  # in test_agent_examples.py
    }


def lengths() -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in EXAMPLES.glob("*.py")}


def test_each_example_is_under_80_lines() -> None:
    assert {name: lines for name, lines in lengths().items() if lines >= 80} == {}


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_explains_at_its_top_how_to_use_a_real_model(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert re.search(r"\ba real (?:model|one)\b", text[:1000])


def test_the_plain_client_has_at_most_twenty_lines_and_looks_up_a_campaign() -> None:
    assert lengths()["plain_client.py"] <= 20
    code, out, _ = run_process("plain_client.py", "--sandbox")
    assert code == 0
    assert out.startswith(f"{{'id': '{SAMPLE_ID}'")
    assert "'headline': 'Running outbound campaign" in out


def test_the_workflow_lists_what_needs_attention_and_what_is_worth_checking() -> None:
    code, out, _ = run_process("agent_workflow.py", "--sandbox")
    assert code == 1
    assert "! Its time zone" in out
    assert "? It is outbound without a number" in out
    assert len([line for line in out.splitlines() if " attention, " in line]) == 6


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
