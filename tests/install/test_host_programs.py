"""The hosts' own command-line programs, from npm, read the installed entry and start the server."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.constants import KEY, NODE_MODULES, PATIENCE
from tests.support.install_home import Home, realistic

pytestmark = pytest.mark.parts

PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
    "qwen": "@qwen-code/qwen-code",
    "copilot": "@github/copilot",
    "cline": "cline",
    "amp": "@sourcegraph/amp",
    "auggie": "@augmentcode/auggie",
}


def program(name: str) -> str:
    """Return the folder of a host's program, or skip the test."""
    folder = Path(os.environ.get(NODE_MODULES) or "node_modules") / ".bin"
    if not (folder / name).exists():
        pytest.skip(f"the npm package {PACKAGES[name]} is not in the folder that {NODE_MODULES} names")
    return str(folder)


def with_program(tmp_path: Path, host: str, name: str) -> Home:
    """Return a home whose PATH has the host's program."""
    node = os.environ.get("PATH", "")
    return Home(tmp_path, host, path=f"{program(name)}:{node}").put_realistic()


def output_of(home: Home, *command: str) -> str:
    """Run the host's program without network access; return what it prints."""
    quiet = ["DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "GEMINI_CLI_NO_RELAUNCH", "OPENCODE_DISABLE_MODELS_FETCH"]
    done = subprocess.run(
        command,
        cwd=home.folder,
        env=home.environment(**dict.fromkeys(quiet, "1")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr  # Gemini CLI prints its list on stderr


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("opencode", "opencode mcp list"),
        ("qwen-code", "qwen mcp list"),
        ("copilot-cli", "copilot mcp list"),
        ("cline", "cline config mcp"),
        ("amp", "amp mcp list"),
        ("auggie", "auggie mcp list"),
    ],
)
def test_the_host_lists_the_installed_server(tmp_path: Path, host: str, command: str) -> None:
    home = with_program(tmp_path, host, command.split()[0])
    home.install("--sandbox")
    listed = output_of(home, *command.split())
    assert "callers-mcp" in listed or "  callers " in listed
    home.uninstall()
    assert "callers" not in output_of(home, *command.split()).replace(str(tmp_path), "")
    assert home.config.read_bytes() == realistic(host)


def test_auggie_writes_a_hosted_server_as_config_prints_it(tmp_path: Path) -> None:
    home, url = with_program(tmp_path, "auggie", "auggie"), "https://callers.example.com/mcp"
    header = ("--header", "Authorization: Bearer <token>")
    output_of(home, "auggie", "mcp", "add", "callers", "--transport", "http", "--url", url, *header)
    printed = home.run("config", "--url", url, "--token")[1]
    assert home.written() == json.loads(printed)["mcpServers"]["callers"]


def test_codex_lists_the_installed_entry(tmp_path: Path) -> None:
    home = with_program(tmp_path, "codex", "codex")
    home.install(CALLERS_ORGANIZATION_ID="a" * 24)
    output = output_of(home, "codex", "mcp", "get", "callers", "--json")
    transport = json.loads(output[output.index("{") : output.rindex("}") + 1])["transport"]
    assert Path(transport["command"]).is_absolute()
    assert transport["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file), "CALLERS_ORGANIZATION_ID": "a" * 24}
    home.uninstall()
    assert "callers" not in output_of(home, "codex", "mcp", "list")


def test_gemini_starts_the_installed_server(tmp_path: Path) -> None:
    home = with_program(tmp_path, "gemini-cli", "gemini")
    home.install()
    assert "callers: " in (output := output_of(home, "gemini", "mcp", "list"))
    assert "Connected" in output
    home.uninstall()
    assert "callers: " not in output_of(home, "gemini", "mcp", "list")


def test_claude_code_writes_its_own_configuration_and_starts_the_server(tmp_path: Path) -> None:
    home = with_program(tmp_path, "claude-code", "claude")
    assert "Installed this server in Claude Code" in home.install()
    assert "Connected" in output_of(home, "claude", "mcp", "get", "callers")
    assert (home.entry() or {})["env"] == {"CALLERS_API_KEY_FILE": str(home.key_file)}
    assert KEY.encode() not in home.config.read_bytes()
    assert "nothing was changed" in home.install()
    home.install("--sandbox")
    assert "nothing was changed" in home.install("--sandbox")
    assert (home.entry() or {})["args"][-1] == "--sandbox"
    home.uninstall()
    assert home.entry() is None
    assert not home.key_file.exists()


def test_uninstall_restores_the_configuration_of_claude_code_byte_for_byte(tmp_path: Path) -> None:
    home = with_program(tmp_path, "claude-code", "claude")
    home.install()
    home.uninstall()
    assert home.config.read_bytes() == realistic("claude-code")


def test_claude_code_accepts_the_line_that_is_printed_if_it_is_not_found(tmp_path: Path) -> None:
    home = with_program(tmp_path, "claude-code", "claude")
    path_with_claude, home.path = home.path, "/usr/bin:/bin"
    code, line, _ = home.run("install", CALLERS_API_KEY=KEY)
    assert code == 1
    home.path = path_with_claude
    output_of(home, *shlex.split(line))
    assert "Connected" in output_of(home, "claude", "mcp", "get", "callers")
    assert "nothing was changed" in home.install()
