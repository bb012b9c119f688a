"""The hosts themselves read what an installation wrote: their own command-line programs, from npm, start the server."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.constants import KEY, NODE_MODULES, PATIENCE
from tests.support.install_home import Home, realistic

PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
}


def program(name: str) -> str:
    """Return the folder of a host's program, or skip the test."""
    folder = Path(os.environ.get(NODE_MODULES) or "node_modules") / ".bin"
    if not (folder / name).exists():
        pytest.skip(f"the npm package {PACKAGES[name]} is not in the folder that {NODE_MODULES} names")
    return str(folder)


def at(tmp_path: Path, host: str, name: str) -> Home:
    node = os.environ.get("PATH", "")
    home = Home(tmp_path, host, path=f"{program(name)}:{node}")
    home.put(realistic(host))
    return home


def says(home: Home, *command: str) -> str:
    """Run the host's program, offline as it is here, and return what it says."""
    quiet = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "GEMINI_CLI_NO_RELAUNCH": "1"}
    done = subprocess.run(
        command,
        cwd=home.folder,
        env=home.environment(**quiet),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr  # Gemini CLI tells its list on stderr


def test_codex_reads_the_entry(tmp_path: Path) -> None:
    home = at(tmp_path, "codex", "codex")
    home.install(CALLERS_ORGANIZATION_ID="abc")
    said = says(home, "codex", "mcp", "get", "callers", "--json")
    transport = json.loads(said[said.index("{") : said.rindex("}") + 1])["transport"]
    assert Path(transport["command"]).is_absolute()
    assert transport["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file), "CALLERS_ORGANIZATION_ID": "abc"}
    home.uninstall()
    assert "callers" not in says(home, "codex", "mcp", "list")


def test_gemini_starts_the_server(tmp_path: Path) -> None:
    home = at(tmp_path, "gemini-cli", "gemini")
    home.install()
    assert "callers: " in (said := says(home, "gemini", "mcp", "list"))
    assert "Connected" in said
    home.uninstall()
    assert "callers: " not in says(home, "gemini", "mcp", "list")


def test_claude_code_is_asked_to_write_its_own_configuration_and_starts_the_server(tmp_path: Path) -> None:
    home = at(tmp_path, "claude-code", "claude")
    assert "Claude Code has this server now" in home.install()
    assert "Connected" in says(home, "claude", "mcp", "get", "callers")
    assert (home.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file)}
    assert KEY.encode() not in home.config.read_bytes()
    assert "nothing was changed" in home.install()
    home.install("--sandbox")
    assert "nothing was changed" in home.install("--sandbox")
    assert (home.entry() or {})["args"][-1] == "--sandbox"
    home.uninstall()
    assert home.entry() is None
    assert not home.key_file.exists()


def test_claude_code_s_configuration_comes_back_to_the_byte(tmp_path: Path) -> None:
    home = at(tmp_path, "claude-code", "claude")
    home.install()
    home.uninstall()
    assert home.config.read_bytes() == realistic("claude-code")


def test_the_line_that_is_printed_without_claude_code_is_one_that_it_takes(tmp_path: Path) -> None:
    home = at(tmp_path, "claude-code", "claude")
    with_it, home.path = home.path, "/usr/bin:/bin"
    code, line, _ = home.run("install", CALLERS_API_KEY=KEY)
    assert code == 1
    home.path = with_it
    says(home, *shlex.split(line))
    assert "Connected" in says(home, "claude", "mcp", "get", "callers")
    assert "nothing was changed" in home.install()
