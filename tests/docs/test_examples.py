"""Each example runs, as it says of itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import add
from tests.conftest import inherited
from tests.support.constants import PATIENCE, SAMPLE_ID
from tests.support.hosted_server import Hosted
from tests.support.stdio_process import Pipe

EXAMPLES = Path(__file__).parents[2] / "examples"


def workflow(*arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "agent_workflow.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=inherited() | environment,
    )
    return done.returncode, done.stdout


def test_the_workflow_names_what_needs_attention_and_what_is_worth_checking() -> None:
    code, out = workflow("--sandbox", environment={})
    assert code == 1
    assert "! Its time zone" in out
    assert "? It is outbound without a number" in out
    assert len([line for line in out.splitlines() if " attention, " in line]) == 6


@pytest.mark.parametrize(
    ("lines", "code"),
    [([SAMPLE_ID], 0), ([SAMPLE_ID, "", "0" * 24], 1), ([], 2)],
    ids=["all is well", "one is not found", "nothing to do"],
)
def test_the_workflow_s_exit_code_says_whether_something_needs_attention(
    tmp_path: Path, sandbox_environment: dict[str, str], lines: list[str], code: int
) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(lines))
    assert workflow("--file", str(file), environment=sandbox_environment)[0] == code


def test_the_snippet_starts_a_server_once_path_and_key_are_filled_in() -> None:
    server = json.loads((EXAMPLES / "claude_desktop_config.json").read_text())["mcpServers"]["callers"]
    assert Path(server["command"]).name == "callers-mcp"
    with Pipe(environment=server["env"]) as pipe:
        pipe.handshake()
        result = pipe.call()
    assert result["_meta"]["callers-mcp/error"]["kind"] == "not_configured"  # the key is still a placeholder
    assert "CALLERS_API_KEY" in result["content"][0]["text"]


def test_a_look_up_on_a_hosted_server(tmp_path: Path, sandbox_environment: dict[str, str]) -> None:
    hosting = {"CALLERS_HTTP_AUTH": "tokens", "CALLERS_HTTP_TOKEN_FILE": str(tmp_path / "tokens.json")}
    token = add(tmp_path / "tokens.json", "my-agent", AllowedOrganizations.parse(["main"]))
    with Hosted(environment=sandbox_environment | hosting) as server:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "hosted_look_up.py"), server.url, SAMPLE_ID],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=inherited() | {"TOKEN": token},
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Running outbound campaign")


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == {
        "agent_workflow.py",
        "claude_desktop_config.json",
        "hosted_look_up.py",
        "hosting",  # test_hosting_examples.py, test_container_examples.py
        "nightly_report.py",  # these are in test_agent_examples.py
        "plain_client.py",
        "pydantic_ai_http.py",
        "pydantic_ai_stdio.py",
    }
