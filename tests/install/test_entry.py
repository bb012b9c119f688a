"""An entry is recognized as ours from any installation and system, and no other entry is."""

import sys
from typing import Any

import pytest

from callers_mcp.install.entry import is_ephemeral, is_ours
from callers_mcp.install.plan import quote_command


@pytest.mark.parametrize(
    ("entry", "ours"),
    [
        ({"command": "/home/ana/.local/bin/callers-mcp", "args": []}, True),
        ({"command": "C:\\Users\\Ana\\Scripts\\callers-mcp.exe"}, True),
        ({"command": "callers-mcp", "args": ["--sandbox"]}, True),
        ({"command": "uvx", "args": ["callers-mcp"]}, True),
        ({"command": "/usr/bin/python3", "args": ["-m", "callers_mcp"]}, True),
        ({"command": "npx", "args": ["-y", "another-mcp"]}, False),
        ({"command": "/opt/callers-mcp/bin/another"}, False),
        ({"command": None, "args": "callers-mcp"}, False),
        ({"url": "https://callers.example.com/mcp"}, False),
        ({}, False),
    ],
)
def test_an_entry_is_ours_by_what_it_starts(entry: dict[str, Any], ours: bool) -> None:
    assert is_ours(entry) is ours


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
