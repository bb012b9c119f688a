"""``callers-mcp config`` prints the text for a host's configuration, for people who edit it by hand."""

import json
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.install.registry import HOSTS
from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support.install_home import WRITABLE, Home, usual_form

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
    content: dict[str, Any] = tomllib.loads(text) if row.format == "toml" else json.loads(text)
    assert list(content) == list(row.container)
    return usual_form(content[row.container[0]]["callers"])


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
        ("opencode", {"type": "remote", "url": URL}),
        ("qwen-code", {"httpUrl": URL}),
        ("copilot-cli", {"type": "http", "url": URL}),
        ("cline", {"type": "streamableHttp", "url": URL}),
        ("zed", {"url": URL}),
        ("devin-desktop", {"transport": "http", "url": URL}),
        ("lm-studio", {"url": URL}),
        ("kiro", {"url": URL}),
        ("amp", {"url": URL}),
        ("kilo-code", {"type": "remote", "url": URL}),
        ("warp", {"url": URL}),
        ("auggie", {"type": "http", "url": URL}),
        ("visual-studio", {"url": URL}),
        ("antigravity", {"serverUrl": URL}),
        ("junie", {"url": URL}),
    ],
)
def test_a_url_is_written_in_the_form_of_each_host(tmp_path: Path, host: str, expected: dict[str, str]) -> None:
    assert entry(host, printed(tmp_path, host, "--url", URL)) == expected


@pytest.mark.parametrize("host", [name for name in WRITABLE if not HOSTS[name].connector])
def test_the_text_for_a_server_with_tokens_is_complete(tmp_path: Path, host: str) -> None:
    """It has the token as a reference to a variable if the host documents one, otherwise as a placeholder."""
    code, out, errors = Home(tmp_path, host).run("config", "--url", URL, "--token", CALLERS_TOKEN="tk-secret")
    assert code == 0
    assert "tk-secret" not in out + errors
    assert str(tmp_path) not in out + errors, "the text is for other machines too"
    with_token, without = entry(host, out), entry(host, printed(tmp_path, host, "--url", URL))
    added = {key: value for key, value in with_token.items() if key not in without}
    assert with_token == without | added
    if added == {"headers": {"Authorization": "Bearer <token>"}}:
        assert "Replace <token> with your token." in errors
    else:
        assert "CALLERS_TOKEN" in str(added)
        assert "Set CALLERS_TOKEN to your token" in errors


def test_the_command_for_a_server_with_tokens_has_a_placeholder(tmp_path: Path) -> None:
    command = shlex.split(printed(tmp_path, "claude-code", "--url", URL, "--token"))
    assert command[-2:] == ["--header", "Authorization: Bearer <token>"]


def test_a_token_without_a_url_is_refused(tmp_path: Path) -> None:
    code, out, errors = Home(tmp_path, "cursor").run("config", "--token")
    assert (code, out) == (2, "")
    assert "--url" in errors


def test_the_text_for_mistral_vibe_is_an_array_of_tables(tmp_path: Path) -> None:
    (local,) = tomllib.loads(printed(tmp_path, "mistral-vibe", "--sandbox"))["mcp_servers"]
    assert (local["name"], local["transport"], local["args"][-1]) == ("callers", "stdio", "--sandbox")
    (remote,) = tomllib.loads(printed(tmp_path, "mistral-vibe", "--url", URL, "--token"))["mcp_servers"]
    assert remote == {
        "name": "callers",
        "transport": "streamable-http",
        "url": URL,
        "api_key_env": "CALLERS_TOKEN",
        "api_key_header": "Authorization",
        "api_key_format": "Bearer {token}",
    }


def test_the_text_for_goose_is_yaml_with_quoted_values(tmp_path: Path) -> None:
    first, second, *lines = printed(tmp_path, "goose", CALLERS_ORGANIZATION_ID=ORGANIZATION_ID).splitlines()
    assert (first, second) == ("extensions:", "  callers:")
    fields = {key.strip(): json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}
    assert (fields["type"], fields["enabled"]) == ("stdio", True)
    assert Path(fields["cmd"]).is_absolute()
    assert fields["envs"] == {"CALLERS_API_KEY": "<your Callers API key>", "CALLERS_ORGANIZATION_ID": ORGANIZATION_ID}
    assert f'    uri: "{URL}"' in printed(tmp_path, "goose", "--url", URL).splitlines()


def test_the_text_for_crush_is_a_line_of_its_script(tmp_path: Path) -> None:
    local = shlex.split(printed(tmp_path, "crush", CALLERS_ORGANIZATION_ID=ORGANIZATION_ID))
    assert local[:4] == ["mcp", "add", "callers", "--command"]
    assert local[-3:] == ["--env", "CALLERS_ORGANIZATION_ID", ORGANIZATION_ID]
    remote = shlex.split(printed(tmp_path, "crush", "--url", URL, "--token"))
    assert remote[3:] == ["--type", "http", "--url", URL, "--header", "Authorization", "Bearer <token>"]


def test_any_other_host_gets_the_general_form(tmp_path: Path) -> None:
    code, out, errors = Home(tmp_path, "Other").run("config")
    assert code == 0
    assert json.loads(out)["mcpServers"]["callers"]["env"] == {"CALLERS_API_KEY": "<your Callers API key>"}
    assert "documentation" in errors


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
