"""Paths of Windows, with backslashes, drive letters and spaces, reach each host as they are."""

import json
import shlex
import tomllib
from typing import Any

import pytest

from callers_mcp.install import documents
from callers_mcp.install.entry import from_host, is_ours
from callers_mcp.install.plan import snippet
from callers_mcp.install.registry import HOSTS, Host

COMMAND = "C:\\Users\\Jo Doe\\new\\tools\\callers-mcp.exe"
KEY_FILE = "D:\\keys\\user's \u00e4\\key.txt"
SHARE = "\\\\server\\share\\ca.pem"
ENTRY = {
    "command": COMMAND,
    "args": ["--sandbox"],
    "env": {"CALLERS_API_KEY_FILE": KEY_FILE, "SSL_CERT_FILE": SHARE},
}


def read(host: Host, text: str) -> dict[str, Any]:
    """Return our entry in a snippet, read as the host reads its format."""
    if host.form == "tables":
        written: dict[str, Any] = tomllib.loads(text)[host.container[0]][0]
    elif host.form == "yaml":
        written = {
            key: json.loads(value) for key, _, value in (line.strip().partition(": ") for line in text.splitlines()[2:])
        }
    else:
        path = (*host.container, *([host.nested] if host.nested else []), "callers")
        written = (
            documents.get_entry(text, host.format, path)
            or documents.get_entry(text, host.format, path[:1] + path[-1:])
            or {}
        )
    return from_host(host, written)


@pytest.mark.parametrize("name", [name for name, host in HOSTS.items() if not host.command and host.form != "crush"])
def test_a_path_of_windows_is_written_as_the_host_reads_it(name: str) -> None:
    entry = read(HOSTS[name], snippet(HOSTS[name], ENTRY))
    assert {key: entry[key] for key in ENTRY} == ENTRY
    assert is_ours(entry)


@pytest.mark.parametrize("name", [name for name, host in HOSTS.items() if host.command or host.form == "crush"])
def test_a_command_of_a_host_has_the_path_as_one_word(name: str) -> None:
    words = shlex.split(snippet(HOSTS[name], ENTRY))
    assert any(COMMAND in word for word in words)
    assert any(KEY_FILE in word or json.dumps(KEY_FILE)[1:-1] in word for word in words)
