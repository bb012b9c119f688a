"""A host that alone may write its configuration: its command is asked, or printed where it is not found."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.constants import KEY
from tests.support.install_home import NEIGHBOURS_SECRET, Home, realistic, refused

pytestmark = [
    pytest.mark.measured,
    pytest.mark.skipif(sys.platform == "win32", reason="the paths and modes are POSIX's here"),
]


@pytest.fixture
def claude_code(tmp_path: Path) -> Home:
    home = Home(tmp_path, "claude-code")
    home.put(realistic("claude-code"))
    return home


def test_without_the_host_s_command_the_line_to_run_is_printed(claude_code: Home) -> None:
    """The key is in its file, so that the line works as it is."""
    code, out, errors = claude_code.run("install", CALLERS_API_KEY=KEY)
    assert code == 1
    assert "claude" in errors
    assert errors.count("\n") == 1
    assert out.startswith("claude mcp add --scope user --env CALLERS_API_KEY_FILE=")
    assert out.count("\n") == 1
    assert claude_code.key_file.read_text() == KEY + "\n"
    assert claude_code.config.read_bytes() == realistic("claude-code")


def test_without_the_host_s_command_an_uninstallation_leaves_the_key_until_the_entry_is_gone(claude_code: Home) -> None:
    entry = {"type": "stdio", "command": "/x/callers-mcp", "args": [], "env": {}}
    claude_code.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    claude_code.run("install", CALLERS_API_KEY=KEY)
    assert claude_code.run("uninstall")[:2] == (1, "claude mcp remove --scope user callers\n")
    assert claude_code.key_file.exists()
    claude_code.put(realistic("claude-code"))
    assert "key file" in claude_code.uninstall()
    assert not claude_code.key_file.exists()


def test_a_dry_run_shows_the_host_s_command(claude_code: Home) -> None:
    before = claude_code.files()
    assert claude_code.install("--dry-run", CALLERS_API_KEY="").startswith("claude mcp add --scope user ")
    assert claude_code.files() == before


def stand_in(home: Home, script: str) -> Path:
    """Put a command of the host's name on the path; return the file in which it says how it was called."""
    program, calls = home.folder / "bin/claude", home.folder.with_name(f"{home.folder.name}-calls")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
    program.chmod(0o755)
    home.path = f"{program.parent}:{home.path}"
    return calls


def test_what_the_host_s_command_refuses_is_told_and_the_key_goes_again(claude_code: Home) -> None:
    stand_in(claude_code, "echo 'This organization allows no servers of its own' >&2; exit 3")
    assert "This organization allows no servers" in refused(claude_code)


@pytest.mark.parametrize("usual", [{"type": "stdio", "args": []}, {}], ids=["written by the host", "by hand"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_an_entry_that_can_t_be_replaced_is_put_back_or_said_to_be_gone(
    claude_code: Home, comes_back: bool, usual: dict[str, object]
) -> None:
    env = {"HTTPS_PROXY": f"http://u:{NEIGHBOURS_SECRET}@p"}
    entry = {"command": "/x/callers-mcp", "env": env, **usual}
    claude_code.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    assert "HTTPS_PROXY=..." in claude_code.install("--dry-run")
    old = "*/x/callers-mcp*) exit 0;;" if comes_back else ""
    calls = stand_in(claude_code, f'case "$*" in {old} *add*) echo no >&2; exit 3;; esac')
    said = refused(claude_code)
    assert said.startswith("callers-mcp: claude mcp add failed: no")
    assert ("is gone" in said) != comes_back
    removed, added, restored = calls.read_text().splitlines()
    assert removed == "mcp remove --scope user callers"
    assert "/x/callers-mcp" not in added
    assert restored.endswith("--transport stdio callers -- /x/callers-mcp")
    assert f"--env HTTPS_PROXY={env['HTTPS_PROXY']}" in restored
