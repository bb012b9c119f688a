"""A host is found by any spelling of its name, and what ``install`` must say about a host is said at the right time."""

import json
import os
import sys
from itertools import product
from pathlib import Path

import pytest

from callers_mcp.install.entry import server_command
from callers_mcp.install.registry import HOSTS
from tests.support.command_line import run
from tests.support.constants import KEY
from tests.support.install_home import Home

posix = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Claude Desktop", "Claude Desktop"),
        ("claude_code", "Claude Code"),
        ("VS Code", "VS Code"),
        ("visual studio code", "VS Code"),
        ("OPENCODE", "opencode"),
        ("windsurf", "Devin Desktop"),
        ("Qwen", "Qwen Code"),
    ],
)
def test_the_spelling_of_a_name_does_not_matter(tmp_path: Path, name: str, title: str) -> None:
    code, out, _ = Home(tmp_path, name).run("uninstall")
    assert code == 0
    assert title in out


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("claude", {"claude-desktop", "claude-code"}),
        ("copilot", {"copilot-cli", "vscode", "visual-studio"}),
        ("curser", {"cursor"}),
        ("emacs", set(HOSTS)),
        ("", set(HOSTS)),
    ],
)
@pytest.mark.parametrize("command", ["install", "uninstall", "config"])
def test_an_unclear_name_is_answered_with_candidates(
    tmp_path: Path, command: str, name: str, candidates: set[str]
) -> None:
    code, out, errors = Home(tmp_path, name).run(command)
    assert (code, out) == (2, "")
    question = errors.partition("is not a known host.")[2].partition("For another host: callers-mcp config other")[0]
    assert {
        host for host in HOSTS if host in question.replace("?", " ").replace(",", " ").replace(".", " ").split()
    } == (candidates)
    assert list(tmp_path.iterdir()) == []


@posix
def test_install_without_a_host_lists_the_hosts_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".config/zed").mkdir(parents=True)
    program = tmp_path / "bin/claude"
    program.parent.mkdir()
    program.touch(0o755)
    folders = (str(program.parent), str(Path(server_command()[0]).parent))  # the shell finds callers-mcp too
    environment = Home(tmp_path, "").environment(PATH=os.pathsep.join(folders))
    code, out, errors = run("install", environment=environment, inherit=False)
    assert (code, errors) == (0, "")
    commands = [line.strip() for line in out.splitlines() if line.startswith(" ")]
    assert commands == [
        "Claude Code: callers-mcp install claude-code",
        "Cursor: callers-mcp install cursor",
        "Zed: callers-mcp install zed",
    ]


@posix
def test_install_says_that_the_host_is_not_on_this_machine(tmp_path: Path) -> None:
    home = Home(tmp_path, "cursor")
    code, _, errors = home.run("install", CALLERS_API_KEY=KEY)
    assert code == 0
    assert f"Cursor seems not to be on this machine: {tmp_path}/.cursor does not exist." in errors
    assert home.entry()


@posix
@pytest.mark.parametrize("answer", ["n\n", "\n", "y\n", ""], ids=["no", "Enter", "yes", "end"])
def test_a_terminal_asks_before_the_folder_of_a_missing_host_is_created(tmp_path: Path, answer: str) -> None:
    home = Home(tmp_path, "cursor")
    code, _, errors = home.run("install", "--no-check", answers=answer, CALLERS_API_KEY=KEY)
    assert code == (0 if answer == "y\n" else 1)
    assert "Create it? [y/N]:" in errors
    assert errors.endswith("callers-mcp: stopped. Nothing was changed.\n") == (answer != "y\n")
    assert home.config.exists() == (answer == "y\n")
    assert home.key_file.exists() == (answer == "y\n")


@posix
def test_claude_desktop_must_be_closed_before_the_change(tmp_path: Path) -> None:
    """When it quits, it writes its configuration again, without what was added in the meantime."""
    home = Home(tmp_path, "claude-desktop").put_realistic()
    before = home.config.read_bytes()
    code, out, errors = home.run("install", "--no-check", answers="\n", CALLERS_API_KEY=KEY)
    assert (code, home.config.read_bytes()) == (1, before)
    assert "Go on? [y/N]:" in errors
    assert "Quit Claude Desktop first" in out
    out = home.run("install", "--no-check", answers="y\n", CALLERS_API_KEY=KEY)[1]
    assert "Start Claude Desktop." in out
    assert home.entry()
    for option in "--yes", "--sandbox":
        out = home.install(option)
        assert "nothing was changed" in out or out.index("Quit Claude Desktop first") < out.index("Installed")
    assert "Quit Claude Desktop first" in home.uninstall()


@posix
def test_other_profiles_of_vs_code_are_named(tmp_path: Path) -> None:
    home = Home(tmp_path, "vscode").put_realistic()
    assert "MCP: Open User Configuration" not in home.install()
    (home.config.parent / "profiles/-4f2a").mkdir(parents=True)
    assert "MCP: Open User Configuration" in home.install("--sandbox")


def test_gemini_must_trust_the_folder(tmp_path: Path) -> None:
    assert "trust the folder" in Home(tmp_path, "gemini-cli").put_realistic().install()


@posix
def test_proxy_and_certificates_of_the_environment_are_in_the_entry(tmp_path: Path) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    before = home.config.read_bytes()
    variables = {
        "CALLERS_API_KEY": KEY,
        "HTTPS_PROXY": "http://proxy.example:3128",
        "no_proxy": "localhost,.example.com",
        "SSL_CERT_FILE": "~/ca.pem",
    }
    _, preview, _ = home.run("install", "--dry-run", **variables)
    assert "http://proxy.example:3128" in preview
    home.install(**variables)
    assert (home.entry() or {})["env"] == {
        "CALLERS_API_KEY_FILE": str(home.key_file),
        "HTTPS_PROXY": "http://proxy.example:3128",
        "no_proxy": "localhost,.example.com",
        "SSL_CERT_FILE": f"{tmp_path}/ca.pem",
    }
    home.uninstall()
    assert home.config.read_bytes() == before


@posix
@pytest.mark.parametrize("command", ["install", "config"])
def test_the_login_of_a_proxy_is_not_copied(tmp_path: Path, command: str) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    code, out, errors = home.run(command, CALLERS_API_KEY=KEY, https_proxy="http://me:proxy-login@proxy.example:3128")
    assert code == 0
    assert "https_proxy has a user name or a password" in errors
    assert "proxy-login" not in out + errors + home.config.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Visual Studio runs there")
@pytest.mark.parametrize(
    ("command", "host"),
    [
        ("install", "lm-studio"),
        *product(["install", "uninstall"], ["visual-studio", *(name for name, row in HOSTS.items() if row.by_hand)]),
    ],
)
def test_a_configuration_that_cannot_be_edited_safely_is_left_alone(tmp_path: Path, command: str, host: str) -> None:
    home = Home(tmp_path, host)
    code, out, errors = home.run(command, CALLERS_API_KEY=KEY)
    assert (code, out) == (1, "")
    assert "does not run on this system" in errors or f"callers-mcp config {host}" in errors
    assert list(tmp_path.iterdir()) == []


@posix
def test_uninstall_removes_the_key_of_a_host_that_is_gone(tmp_path: Path) -> None:
    """LM Studio must have created its configuration before ``install``, but not before ``uninstall``."""
    home = Home(tmp_path, "lm-studio").put_realistic()
    home.install()
    home.config.unlink()
    assert f"Removed the key file {home.key_file}.\n" in home.uninstall()
    assert not home.key_file.exists()


OPENCODE = {
    "current": ('{"mcp": {"servers": {"x": {"type": "local", "command": ["x"]}}}}', ["mcp", "servers"]),
    "current, empty": ('{"mcp": {"servers": {}}}', ["mcp", "servers"]),
    "a server with that name": ('{"mcp": {"servers": {"type": "local", "command": ["x"]}}}', ["mcp"]),
    "earlier": ('{"mcp": {}}', ["mcp"]),
    "new": ("", ["mcp"]),
}


@posix
@pytest.mark.parametrize("before", OPENCODE)
def test_the_two_forms_of_opencode_are_told_apart(tmp_path: Path, before: str) -> None:
    home, (text, container) = Home(tmp_path, "opencode"), OPENCODE[before]
    home.put(text.encode())
    home.install("--sandbox")
    servers = json.loads(home.config.read_bytes())
    for key in container:
        servers = servers[key]
    assert servers["callers"]["type"] == "local"
    assert servers["callers"]["command"][-1] == "--sandbox"
    assert "callers" not in json.loads(home.config.read_bytes())["mcp"] or container == ["mcp"]
    home.uninstall()
    assert home.config.read_text() == text


@posix
def test_an_entry_of_opencode_that_starts_something_else_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path, "opencode")
    for entry in '{"command": ["/x/other"]}', '{"command": ["callers-mcp"], "args": []}':
        home.put(b'{"mcp": {"callers": %s}}' % entry.encode())
        code, _, errors = home.run("install", CALLERS_API_KEY=KEY)
        assert code == 1
        assert "another server named callers" in errors
