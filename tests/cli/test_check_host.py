"""``callers-mcp check --host HOST`` checks what the host will start, with the settings of its entry only."""

import json
from pathlib import Path

import pytest

from callers_mcp.sandbox import ORGANIZATION_ID, Sandbox
from tests.support.command_line import run_process
from tests.support.constants import SAMPLE_ID
from tests.support.install_home import Home


def check(home: Home, *options: str, **variables: str) -> tuple[int, str, str]:
    environment = home.environment(**variables)
    return run_process("check", "--host", home.host, *options, environment=environment, inherit=False)


@pytest.mark.parametrize("host", ["cursor", "opencode", "codex"])
def test_the_settings_are_those_of_the_entry(
    tmp_path: Path, host: str, sandbox: Sandbox, sandbox_environment: dict[str, str]
) -> None:
    home = Home(tmp_path, host).put_realistic()
    assert f"callers-mcp check --host {host}" in home.install(**sandbox_environment).splitlines()[-1]
    wrong = {"CALLERS_API_KEY": "wrong", "CALLERS_BASE_URL": "http://127.0.0.1:9", "CALLERS_TIMEOUT": "x"}
    code, out, errors = check(home, "--campaign-id", SAMPLE_ID, **wrong)
    assert (code, errors) == (0, "")
    assert f"Base URL: {sandbox.base_url}" in out
    assert "Server: starts, and offers get_campaign\n" in out
    assert f"run callers-mcp install {host} --campaign-id with this id" in out
    home.install(**sandbox_environment, CALLERS_ORGANIZATION_ID=ORGANIZATION_ID)
    assert "offers get_campaign, find_campaigns\n" in check(home)[1]


def test_the_sandbox_in_a_host_is_started(tmp_path: Path) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    home.install("--sandbox")
    code, out, errors = check(home)
    assert (code, errors) == (0, "")
    assert out == "ok       Server: starts, and offers get_campaign, find_campaigns\n"


@pytest.mark.parametrize("command", [None, "/x/other", "/x/callers-mcp"], ids=["none", "another's", "gone"])
def test_an_entry_that_cannot_be_checked_is_a_problem(tmp_path: Path, command: str | None) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    if command:
        entry = {"command": command, "env": {"TOKEN": "neighboursSecret"}}
        home.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    code, out, errors = check(home)
    assert code == 1
    assert "neighboursSecret" not in out + errors
    assert ("does not start" in out) == (command == "/x/callers-mcp")
    assert "Traceback" not in errors
