"""An entry is recognized as ours from any installation and system, and no other entry is."""

import sys
from typing import Any

import pytest

from callers_mcp.install.entry import is_ephemeral, is_ours
from callers_mcp.install.plan import quote_command


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
    ("python", "temporary"),
    [
        ("/home/ana/.cache/uv/archive-v0/Xy_1/bin/python", True),
        ("/home/ana/.local/pipx/.cache/0a1b/bin/python", True),
        ("/home/ana/.cache/pipx/0a1b/bin/python", True),
        ("/home/ana/.local/share/uv/tools/callers-mcp/bin/python", False),
        ("/home/ana/.local/pipx/venvs/callers-mcp/bin/python", False),
        ("/srv/.cache/checkout/.venv/bin/python", False),
    ],
)
def test_a_temporary_installation_is_recognized_by_its_path(
    monkeypatch: pytest.MonkeyPatch, python: str, temporary: bool
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert is_ephemeral() is temporary


def test_a_command_is_quoted_for_the_shell_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["claude", "--", "C:\\Program Files\\callers-mcp.exe"]
    monkeypatch.setattr(sys, "platform", "linux")
    assert quote_command(command) == "claude -- 'C:\\Program Files\\callers-mcp.exe'"
    monkeypatch.setattr(sys, "platform", "win32")
    assert quote_command(command) == 'claude -- "C:\\Program Files\\callers-mcp.exe"'
