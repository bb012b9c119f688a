"""An entry is recognized as ours from any installation and system, and no other entry is."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.install.entry import is_ephemeral, is_ours, server_command
from callers_mcp.install.plan import quote_command
from tests.support.constants import PATIENCE
from tests.support.install_home import Home


@pytest.mark.parametrize(
    ("command", "arguments", "ours"),
    [
        ("/home/ana/.local/bin/callers-mcp", [], True),
        ("C:\\Users\\Ana\\Scripts\\callers-mcp.exe", None, True),
        ("callers-mcp", ["--sandbox"], True),
        ("/usr/bin/python3", ["-m", "callers_mcp"], True),
        ("/usr/bin/python3.11", ["-P", "-m", "callers_mcp", "--sandbox"], True),
        ("py.exe", ["-3", "-X", "dev", "-Im", "callers_mcp"], True),
        ("uvx", ["callers-mcp"], True),
        ("uvx", ["callers-mcp@latest", "--sandbox"], True),
        ("uvx", ["--python", "3.12", "callers_mcp[http]==0.1.*"], True),
        ("/opt/uv", ["tool", "run", "--from=callers-mcp[http]", "callers-mcp"], True),
        ("pipx", ["run", "--spec", "callers-mcp>=0.1,<1", "callers-mcp"], True),
        ("npx", ["-y", "another-mcp"], False),
        ("npx", ["-y", "@acme/callers-mcp"], False),
        ("npx", ["-y", "callers-mcp"], False),
        ("docker", ["run", "callers-mcp"], False),
        ("uvx", ["other", "callers-mcp"], False),
        ("uvx", ["callers-mcp-pro"], False),
        ("uvx", ["--with", "callers-mcp", "other"], False),
        ("uvx", ["--from", "acme-callers-mcp", "callers-mcp"], False),
        ("uvx", ["--from", "git+https://example.com/callers-mcp", "callers-mcp"], False),
        ("uv", ["run", "other", "callers-mcp"], False),
        ("/usr/bin/python3", ["-m", "other", "-m", "callers_mcp"], False),
        ("/usr/bin/python3", ["other.py", "-m", "callers_mcp"], False),
        ("/usr/bin/python3", ["-c", "...", "-m", "callers_mcp"], False),
        ("/opt/callers-mcp/bin/another", [], False),
        ("/opt/another", ["/opt/callers-mcp"], False),
        (["callers-mcp"], [], False),
        (None, "callers-mcp", False),
    ],
)
def test_an_entry_is_ours_by_what_it_starts(command: Any, arguments: Any, ours: bool) -> None:
    assert is_ours({"command": command, "args": arguments}) is ours


def test_an_entry_without_a_command_is_not_ours() -> None:
    assert not is_ours({"url": "https://callers.example.com/mcp"})


@pytest.mark.skipif(sys.platform != "linux", reason="checks the folders of Linux")
@pytest.mark.parametrize(
    ("variables", "prefix", "is_cached"),
    [
        ({}, "/home/ana/.cache/uv/archive-v0/Xy_1", True),
        ({}, "/home/ana/.cache/uv/any/environment", True),
        ({"XDG_CACHE_HOME": "/fast"}, "/fast/uv/any/environment", True),
        ({"UV_CACHE_DIR": "/fast/cache"}, "/fast/cache/any/environment", True),
        ({}, "/from/uv.toml/builds-v0/.tmpXy", True),
        ({}, "/from/uv.toml/environments-v2/Xy", True),
        ({}, "/home/ana/.cache/pipx/0a1b", True),
        ({}, "/home/ana/.local/pipx/.cache/0a1b", True),
        ({"PIPX_HOME": "/opt/pipx"}, "/opt/pipx/.cache/0a1b", True),
        ({}, "/home/ana/.local/share/uv/tools/callers-mcp", False),
        ({}, "/home/ana/.local/pipx/venvs/callers-mcp", False),
        ({}, "/home/ana/.cache/pipx-checkout/.venv", False),
        ({"UV_CACHE_DIR": "/fast/cache"}, "/fast/cache2/.venv", False),
    ],
)
def test_an_installation_in_a_cache_is_recognized_by_its_folder(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], prefix: str, is_cached: bool
) -> None:
    for name in ("XDG_CACHE_HOME", "UV_CACHE_DIR", "PIPX_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/ana", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "prefix", prefix)
    assert is_ephemeral() is is_cached


def test_an_installation_in_a_temporary_folder_is_installed_with_a_note(
    cursor: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(Path(sys.prefix).parent))
    assert "in a temporary folder" in cursor.install("--sandbox")
    cursor.uninstall()
    monkeypatch.setattr(tempfile, "tempdir", str(cursor.folder))
    assert "in a temporary folder" not in cursor.install("--sandbox")


def test_the_command_imports_nothing_from_the_folder_in_which_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if there is no script beside the interpreter."""
    (tmp_path / "click.py").write_text("raise SystemExit('imported')")
    commands = [server_command()]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "python"))
        commands.append([Path(sys.prefix, "bin/python").as_posix(), *server_command()[1:]])
    assert commands[1][-2:] == ["-m", "callers_mcp"]
    for command in commands:
        done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_command_is_quoted_for_the_shell_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["claude", "--", "C:\\Program Files\\callers-mcp.exe"]
    monkeypatch.setattr(sys, "platform", "linux")
    assert quote_command(command) == "claude -- 'C:\\Program Files\\callers-mcp.exe'"
    monkeypatch.setattr(sys, "platform", "win32")
    assert quote_command(command) == 'claude -- "C:\\Program Files\\callers-mcp.exe"'
