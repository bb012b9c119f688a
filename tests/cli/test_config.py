"""``callers-mcp config`` prints the text for a host's configuration, for people who edit it by hand."""

import json
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.install.documents import Format
from callers_mcp.install.registry import HOSTS
from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support.install_home import WRITABLE, Home

URL = "https://callers.example.com/mcp"


def printed(tmp_path: Path, host: str, *options: str, **variables: str) -> str:
    """Run ``config`` for a host, which writes no file; return stdout."""
    code, out, errors = Home(tmp_path, host).run("config", *options, **variables)
    assert code == 0
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    return out


def entry(host: str, text: str) -> dict[str, Any]:
    """Parse printed text as the host parses its configuration; return the entry."""
    row = HOSTS[host]
    content: dict[str, Any] = tomllib.loads(text) if row.format is Format.TOML else json.loads(text)
    assert list(content) == list(row.container)
    found: dict[str, Any] = content[row.container[0]]["callers"]
    return found


@pytest.mark.parametrize("host", WRITABLE)
def test_the_entry_starts_this_server_and_has_a_placeholder_for_the_key(tmp_path: Path, host: str) -> None:
    found = entry(host, printed(tmp_path, host, CALLERS_API_KEY="sk-x", CALLERS_ORGANIZATION_ID=ORGANIZATION_ID))
    assert Path(found["command"]).is_absolute()
    assert found["env"] == {"CALLERS_API_KEY": "<your Callers API key>", "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID}
    sandbox = entry(host, printed(tmp_path, host, "--sandbox"))
    assert sandbox["args"][-1] == "--sandbox"
    assert "env" not in sandbox


def test_a_key_file_of_the_user_is_named_by_its_absolute_path(tmp_path: Path) -> None:
    found = entry("cursor", printed(tmp_path, "cursor", CALLERS_API_KEY_FILE="~/key"))
    assert found["env"] == {"CALLERS_API_KEY_FILE": str(tmp_path / "key")}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("cursor", {"url": URL}),
        ("vscode", {"type": "http", "url": URL}),
        ("codex", {"url": URL}),
        ("gemini-cli", {"httpUrl": URL}),
    ],
)
def test_a_url_is_written_in_the_form_of_each_host(tmp_path: Path, host: str, expected: dict[str, str]) -> None:
    assert entry(host, printed(tmp_path, host, "--url", URL)) == expected


@pytest.mark.parametrize("host", [name for name, host in HOSTS.items() if host.remote is not None])
def test_the_line_for_a_token_is_printed_on_stderr(tmp_path: Path, host: str) -> None:
    _, out, errors = Home(tmp_path, host).run("config", "--url", URL)
    assert "If the server requires a token, add: " in errors
    assert "oken" not in out


def test_a_url_for_claude_desktop_is_added_as_a_connector(tmp_path: Path) -> None:
    out = printed(tmp_path, "claude-desktop", "--url", URL)
    assert "Settings > Connectors" in out
    assert URL in out.splitlines()


def test_the_command_for_claude_code_never_has_the_key(tmp_path: Path) -> None:
    """Other users can see the arguments of a command, so it names a file with the key."""
    command = shlex.split(printed(tmp_path, "claude-code", CALLERS_API_KEY="sk-x"))
    values = dict(word.split("=", 1) for before, word in pairwise(command) if before == "--env")
    assert values == {"CALLERS_API_KEY_FILE": "<path of a file with your Callers API key>"}


def test_the_text_for_claude_code_is_a_command(tmp_path: Path) -> None:
    local = shlex.split(printed(tmp_path, "claude-code", "--sandbox"))
    assert local[:6] == ["claude", "mcp", "add", "--scope", "user", "--transport"]
    assert local[-1] == "--sandbox"
    remote = shlex.split(printed(tmp_path, "claude-code", "--url", URL))
    assert remote[5:] == ["--transport", "http", "callers", URL]


@pytest.mark.parametrize(
    "url", ["http://callers.example.com/mcp", "callers.example.com", "https://", "https://a/ b", ""]
)
def test_an_insecure_or_malformed_url_is_refused(tmp_path: Path, url: str) -> None:
    code, out, errors = Home(tmp_path, "cursor").run("config", "--url", url)
    assert (code, out) == (2, "")
    assert "https URL" in errors


def test_a_url_on_loopback_may_be_http(tmp_path: Path) -> None:
    assert entry("cursor", printed(tmp_path, "cursor", "--url", "http://127.0.0.1:8000/mcp"))


def test_a_url_with_the_sandbox_is_refused(tmp_path: Path) -> None:
    assert Home(tmp_path, "cursor").run("config", "--url", URL, "--sandbox")[0] == 2
