"""Claude Code writes its configuration itself: its own command is run, or printed if it is not found."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from tests.support.constants import KEY, PATIENCE
from tests.support.install_home import NEIGHBOURS_SECRET, Home, realistic, refused
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="checks POSIX paths and modes")


@pytest.fixture
def claude_code(tmp_path: Path) -> Home:
    return Home(tmp_path, "claude-code").put_realistic()


def test_if_claude_is_not_found_the_line_to_run_is_printed(claude_code: Home) -> None:
    """The key is already in its file, so that the line works as printed."""
    code, out, errors = claude_code.run("install", CALLERS_API_KEY=KEY)
    assert code == 1
    assert "claude" in errors
    assert errors.count("\n") == 1
    assert out.startswith("claude mcp add --scope user --env CALLERS_API_KEY_FILE=")
    assert out.count("\n") == 1
    assert claude_code.key_file.read_text() == KEY + "\n"
    assert claude_code.config.read_bytes() == realistic("claude-code")


def test_if_claude_is_not_found_uninstall_keeps_the_key_until_the_entry_is_removed(claude_code: Home) -> None:
    entry = {"type": "stdio", "command": "/x/callers-mcp", "args": [], "env": {}}
    claude_code.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    claude_code.run("install", CALLERS_API_KEY=KEY)
    assert claude_code.run("uninstall")[:2] == (1, "claude mcp remove --scope user callers\n")
    assert claude_code.key_file.exists()
    claude_code.put(realistic("claude-code"))
    assert "key file" in claude_code.uninstall()
    assert not claude_code.key_file.exists()


def test_a_dry_run_shows_the_command_that_would_run(claude_code: Home) -> None:
    before = claude_code.files()
    assert claude_code.install("--dry-run", CALLERS_API_KEY="").startswith("claude mcp add --scope user ")
    assert claude_code.files() == before


def fake_claude(home: Home, script: str) -> Path:
    """Put a program named ``claude`` on the PATH; return the file to which it writes its arguments."""
    program, calls = home.folder / "bin/claude", home.folder.with_name(f"{home.folder.name}-calls")
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
    program.chmod(0o755)
    home.path = f"{program.parent}:{home.path}"
    return calls


def test_a_program_in_the_working_folder_is_not_run(claude_code: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the PATH names that folder, as Windows always does."""
    calls = fake_claude(claude_code, "")
    monkeypatch.chdir(claude_code.folder / "bin")
    for claude_code.path in (".", "", "../bin"):
        code, out, _ = claude_code.run("install", CALLERS_API_KEY=KEY)
        assert (code, out.startswith("claude mcp add ")) == (1, True)
    assert not calls.exists()


def test_an_error_of_claude_is_reported_and_the_key_is_removed_again(claude_code: Home) -> None:
    fake_claude(claude_code, "echo 'Your organization does not allow this server' >&2; exit 3")
    assert "Your organization does not allow this server" in refused(claude_code)


@pytest.mark.parametrize(
    "usual", [{"type": "stdio", "args": []}, {}, {"type": "stdio", "args": [1]}], ids=["by the host", "by hand", "odd"]
)
@pytest.mark.parametrize("is_restored", [True, False], ids=["restored", "not restored"])
def test_an_entry_that_cannot_be_replaced_is_put_back_or_reported_as_removed(
    claude_code: Home, is_restored: bool, usual: dict[str, Any]
) -> None:
    env = {"CALLERS_TIMEOUT": "9"}
    entry = {"command": "/x/callers-mcp", "env": env, **usual}
    claude_code.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    old = "*/x/callers-mcp*) exit 0;;" if is_restored else ""
    calls = fake_claude(claude_code, f'case "$*" in {old} *add*) echo no >&2; exit 3;; esac')
    message = refused(claude_code)
    assert message.startswith("callers-mcp: claude mcp add failed: no")
    assert ("is gone" in message) != is_restored
    removed, added, restored = calls.read_text().splitlines()
    assert removed == "mcp remove --scope user callers"
    assert "/x/callers-mcp" not in added
    assert " ".join(["--transport stdio callers -- /x/callers-mcp", *map(str, usual.get("args", []))]) in restored
    assert "--env CALLERS_TIMEOUT=9" in restored


@pytest.mark.parametrize("is_found", [True, False], ids=["claude found", "claude not found"])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"env": {"CALLERS_API_KEY": NEIGHBOURS_SECRET}}, "CALLERS_API_KEY"),
        ({"env": {"OTHER_TOKEN": NEIGHBOURS_SECRET}}, "OTHER_TOKEN"),
        ({"env": {"CALLERS_BASE_URL": f"https://u:{NEIGHBOURS_SECRET}@proxy.example"}}, "CALLERS_BASE_URL"),
        ({"env": [NEIGHBOURS_SECRET]}, "env"),
        ({"headers": {"X": NEIGHBOURS_SECRET}}, "headers"),
        ({"command": "uvx", "args": ["--index", f"https://{NEIGHBOURS_SECRET}@x", "callers-mcp"]}, "args"),
    ],
)
def test_an_entry_that_may_have_a_secret_is_never_put_on_a_command_line(
    claude_code: Home, changes: dict[str, Any], named: str, is_found: bool
) -> None:
    calls = fake_claude(claude_code, "") if is_found else claude_code.folder / "absent"
    entry = {"type": "stdio", "command": "/x/callers-mcp", "args": [], "env": {}, **changes}
    claude_code.put(json.dumps({"mcpServers": {"callers": entry}}).encode())
    before = claude_code.files()
    for options in ((), ("--dry-run",), ("--sandbox",)):
        code, out, errors = claude_code.run("install", *options, CALLERS_API_KEY=KEY)  # looks for the secret
        assert (code, out) == (1, "claude mcp remove --scope user callers\n")
        assert f"has {named}, which claude mcp add would show" in errors
        assert claude_code.files() == before
    assert not calls.exists()
    claude_code.run("uninstall")
    assert not is_found or calls.read_text() == "mcp remove --scope user callers\n"


EDITING_CLAUDE = """\
import json, pathlib, sys, time
config, started, go = map(pathlib.Path, sys.argv[1:4])
started.touch()
while not go.exists():
    time.sleep(0.01)
content = json.loads(config.read_text())
content["mcpServers"].pop("callers", None)
if "add" in sys.argv:
    at = sys.argv.index("--")
    env = dict(sys.argv[i + 1].split("=", 1) for i, word in enumerate(sys.argv[:at]) if word == "--env")
    content["mcpServers"]["callers"] = {"command": sys.argv[at + 1], "args": sys.argv[at + 2 :], "env": env}
config.write_text(json.dumps(content))
"""


def slow_claude(home: Home, folder: Path) -> tuple[Path, Path]:
    """Put a program named ``claude`` on the PATH that waits before it edits the configuration.

    Return the file that it creates when it starts, and the file for which it waits.
    """
    script, started, go = folder / "claude.py", folder / "started", folder / "go"
    script.write_text(EDITING_CLAUDE)
    fake_claude(home, f'exec {sys.executable} {script} {home.config} {started} {go} "$@"')
    return started, go


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("install", "uninstall"),
        pytest.param("install", "install", marks=pytest.mark.slow),
        pytest.param("uninstall", "install", marks=pytest.mark.slow),
        pytest.param("uninstall", "uninstall", marks=pytest.mark.slow),
    ],
)
def test_installations_and_uninstallations_at_the_same_time_leave_no_key_without_an_entry(
    claude_code: Home, tmp_path_factory: pytest.TempPathFactory, first: str, second: str
) -> None:
    started, go = slow_claude(claude_code, tmp_path_factory.mktemp("claude"))
    if first == "uninstall":
        go.touch()
        claude_code.install()
        go.unlink()
        started.unlink()
    with ThreadPoolExecutor() as pool:
        try:
            runs = [pool.submit(claude_code.run_process, first, CALLERS_API_KEY=KEY)]
            until(started.exists, "claude was started")
            runs.append(pool.submit(claude_code.run_process, second, CALLERS_API_KEY=f"{KEY}2"))
            wait(runs[1:], timeout=2)  # without a lock, the second one ends now
        finally:
            go.touch()
    assert [run.result()[0] for run in runs] == [0, 0]
    assert (claude_code.entry() is not None) == claude_code.key_file.exists() == (second == "install")


def test_ctrl_c_removes_the_key_again(claude_code: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    started, go = slow_claude(claude_code, tmp_path_factory.mktemp("claude"))
    command = [sys.executable, "-m", "callers_mcp", "install", "claude-code"]
    with subprocess.Popen(command, env=claude_code.environment(CALLERS_API_KEY=KEY)) as process:
        until(started.exists, "claude was started")
        assert claude_code.key_file.exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    go.touch()
    assert not claude_code.key_file.parent.parent.exists()
