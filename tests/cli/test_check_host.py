"""``callers-mcp check --host HOST`` checks what the host will start, with the settings of its entry only."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.sandbox import ORGANIZATION_ID, Sandbox
from tests.support.constants import SAMPLE_ID
from tests.support.install_home import Home

ORGANIZATION = f"CALLERS_ORGANIZATION_ID={ORGANIZATION_ID}"
QUESTION = f"Write {ORGANIZATION} to Cursor?"


def put_entry(home: Home, command: str, **env: Any) -> None:
    home.put(json.dumps({"mcpServers": {"callers": {"command": command, "env": env}}}).encode())


@pytest.fixture
def cursor(tmp_path: Path, sandbox_environment: dict[str, str]) -> Home:
    """A home with an entry in Cursor that reaches the sandbox, but whose program does not exist any more."""
    home = Home(tmp_path, "cursor").put_realistic()
    home.install(**sandbox_environment)
    home.put(home.config.read_bytes().replace(str(Path(sys.executable).parent).encode(), b"/x"))
    return home


def test_the_server_is_started_as_the_host_does(
    tmp_path: Path, sandbox: Sandbox, sandbox_environment: dict[str, str]
) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    installed = home.install(**sandbox_environment, CALLERS_ORGANIZATION_ID=ORGANIZATION_ID)
    assert "callers-mcp check --host cursor" in installed.splitlines()[-1]
    wrong = {"CALLERS_API_KEY": "wrong", "CALLERS_BASE_URL": "http://127.0.0.1:9", "CALLERS_TIMEOUT": "x"}
    code, out, errors = home.run("check", "--campaign-id", SAMPLE_ID, **wrong)
    assert (code, errors) == (0, "")
    assert f"Base URL: {sandbox.base_url}" in out
    assert "Server: starts, and offers get_campaign, find_campaigns\n" in out
    assert "Organization" not in out.replace("Default organization", "")


@pytest.mark.skipif(sys.platform == "win32", reason="starts a shell script")
@pytest.mark.parametrize("host", ["opencode", "codex"])
def test_settings_and_command_are_those_of_the_entry(
    tmp_path: Path, host: str, sandbox: Sandbox, sandbox_environment: dict[str, str]
) -> None:
    home, program = Home(tmp_path, host).put_realistic(), tmp_path / "bin/callers-mcp"
    home.install(**sandbox_environment)
    started = tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >{started}\nenv >>{started}\n')
    program.chmod(0o755)
    home.put(
        home.config.read_bytes().replace(str(Path(sys.executable).with_name("callers-mcp")).encode(), bytes(program))
    )
    code, out, _ = home.run("check", CALLERS_TIMEOUT="x", HTTPS_PROXY="http://neighboursSecret:1")
    assert code == 1
    assert f"Base URL: {sandbox.base_url}" in out
    assert "Server: " in out
    environment = started.read_text()
    assert f"CALLERS_BASE_URL={sandbox.base_url}\n" in environment
    assert "CALLERS_TIMEOUT" not in environment


def test_get_uses_the_settings_of_the_entry_and_does_not_start_it(cursor: Home) -> None:
    """Its command does not exist any more."""
    wrong = {"CALLERS_API_KEY": "wrong", "CALLERS_BASE_URL": "http://127.0.0.1:9", "CALLERS_TIMEOUT": "x"}
    code, out, errors = cursor.run("get", SAMPLE_ID, **wrong)
    assert (code, errors) == (0, "")
    assert "Spring renewals" in out
    cursor.install("--sandbox")
    assert cursor.run("get", SAMPLE_ID, **wrong)[0] == 0
    assert cursor.run("get", SAMPLE_ID, "--sandbox")[0] == 2
    cursor.uninstall()
    code, _, errors = cursor.run("get", SAMPLE_ID)
    assert code == 1
    assert "Cursor does not have this server: callers-mcp install cursor adds it." in errors


@pytest.mark.skipif(sys.platform == "win32", reason="starts a shell script")
def test_of_a_sandbox_in_a_host_only_the_start_is_checked(tmp_path: Path) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    home.install("--sandbox")
    home.put(home.config.read_bytes().replace(str(Path(sys.executable).parent).encode(), b"/x"))
    code, out, _ = home.run("check")
    assert code == 1
    assert out == "PROBLEM  Server: /x/callers-mcp does not start (FileNotFoundError); install it again\n"
    code, out, errors = home.run("check", "--campaign-id", SAMPLE_ID)
    assert (code, out) == (2, "")
    assert "the server in cursor has only sample campaigns" in errors


@pytest.mark.parametrize("command", [None, "/x/other", "/x/callers-mcp"], ids=["none", "another's", "gone"])
def test_an_entry_that_cannot_be_checked_is_a_problem(tmp_path: Path, command: str | None) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    if command:
        put_entry(home, command, TOKEN="neighboursSecret", CALLERS_MAX_ATTEMPTS="1", CALLERS_BASE_URL="http://[::1]:9")
    code, out, errors = home.run("check")
    assert code == 1
    assert ("does not start" in out) == (command == "/x/callers-mcp")
    assert ("has another server named callers" in errors) == (command == "/x/other")


@pytest.mark.parametrize("command", [("check",), ("get", SAMPLE_ID)])
def test_a_host_whose_configuration_cannot_be_read_needs_the_variables(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, out, errors = Home(tmp_path, "goose").run(*command)
    assert (code, out) == (1, "")
    assert "can't read the configuration of goose. Leave out --host" in errors
    assert "by hand" not in errors


@pytest.mark.parametrize(
    "env",
    [
        {"A=neighboursSecret": "x"},
        {"TOKEN": "neighboursSecret\0"},
        {"CALLERS_TIMEOUT": "9\0neighboursSecret"},
        {"HOME": "/neighboursSecret", "XDG_CONFIG_HOME": "/neighboursSecret", "SSL_CERT_FILE": "/neighboursSecret"},
        {"HTTPS_PROXY": "http://ana:neighboursSecret@proxy.example", "PATH": "/neighboursSecret", "LANG": ["x"]},
    ],
    ids=["name", "value", "ours", "folders", "proxy"],
)
def test_no_value_of_another_variable_is_printed(
    tmp_path: Path, env: dict[str, Any], sandbox_environment: dict[str, str]
) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    put_entry(home, "/x/callers-mcp", **sandbox_environment, **env)
    code, out, errors = home.run("check", "--campaign-id", SAMPLE_ID)  # looks for the secret and a traceback
    assert code == 1
    assert "/x/callers-mcp does not start" in out
    assert errors == ""


def test_certificates_and_proxies_are_those_of_the_entry(tmp_path: Path) -> None:
    """A host does not pass those of the caller on."""
    home = Home(tmp_path, "cursor").put_realistic()
    variables = {"CALLERS_API_KEY": "k", "CALLERS_BASE_URL": "https://127.0.0.1:9", "CALLERS_MAX_ATTEMPTS": "1"}
    put_entry(home, "/x/callers-mcp", **variables)
    problem = "The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be loaded"
    assert problem not in home.run("check", SSL_CERT_FILE="/nonexistent")[1]
    put_entry(home, "/x/callers-mcp", **variables, SSL_CERT_FILE="/nonexistent")
    assert problem in home.run("check")[1]


def test_a_server_that_the_host_keeps_itself_is_named_as_such(tmp_path: Path) -> None:
    """Claude Desktop unpacks a bundle beside its configuration, and keeps its settings elsewhere."""
    home = Home(tmp_path, "claude-desktop").put_realistic()
    bundle = home.host_folder / "Claude Extensions/local.mcpb.the-callers-mcp-authors.callers-mcp"
    bundle.mkdir(parents=True)
    code, out, errors = home.run("check")
    assert (code, out) == (1, "")
    assert "Claude Desktop has this server as an extension" in errors
    assert "extension too" in home.install()
    shutil.rmtree(bundle)
    assert "extension" not in home.install("--sandbox")
    home.uninstall()
    assert "callers-mcp install claude-desktop adds it" in home.run("check")[2]


@pytest.mark.parametrize(("answers", "options"), [("y\n", ()), ("", ("--yes",))], ids=["a yes", "an option"])
def test_the_organization_is_written_after_a_yes_on_a_terminal(
    cursor: Home, answers: str, options: tuple[str, ...]
) -> None:
    _, out, errors = cursor.run("check", "--campaign-id", SAMPLE_ID, *options, answers=answers)
    assert (QUESTION in errors) == bool(answers)
    assert f"wrote {ORGANIZATION}" in out
    entry = cursor.entry()
    assert entry
    assert entry["env"]["CALLERS_ORGANIZATION_ID"] == ORGANIZATION_ID
    assert "Organization: " not in cursor.run("check", "--campaign-id", SAMPLE_ID)[1]
    cursor.uninstall()
    assert cursor.entry() is None
    assert not cursor.key_file.exists()


def test_the_end_of_the_input_at_the_question_stops(cursor: Home) -> None:
    before = cursor.files()
    code, _, errors = cursor.run("check", "--campaign-id", SAMPLE_ID, answers="")
    assert (code, cursor.files()) == (1, before)
    assert errors.endswith("callers-mcp: stopped. Nothing was changed.\n")


@pytest.mark.parametrize("answers", ["n\n", "\n", None], ids=["no", "Enter", "no terminal"])
def test_without_a_yes_the_command_that_writes_it_is_printed(cursor: Home, answers: str | None) -> None:
    """This command reads the base URL from the entry too."""
    before = cursor.files()
    options = () if answers else ("--yes",)
    _, out, _ = cursor.run("check", "--campaign-id", SAMPLE_ID, *options, answers=answers)
    assert cursor.files() == before
    line = f"callers-mcp install cursor --campaign-id {SAMPLE_ID}"
    assert f"{line} writes {ORGANIZATION} to find campaigns by name" in out
    assert cursor.run("install", *line.split()[3:])[0] == 0
    entry = cursor.entry()
    assert entry
    assert entry["env"]["CALLERS_ORGANIZATION_ID"] == ORGANIZATION_ID


def test_a_wrong_organization_is_replaced(cursor: Home, sandbox_environment: dict[str, str]) -> None:
    cursor.install(**sandbox_environment, CALLERS_ORGANIZATION_ID="0" * 24)
    cursor.put(cursor.config.read_bytes().replace(str(Path(sys.executable).parent).encode(), b"/x"))
    assert (
        f"CALLERS_ORGANIZATION_ID is wrong: the campaign belongs to {ORGANIZATION_ID}"
        in (cursor.run("check", "--campaign-id", SAMPLE_ID)[1])
    )
    assert QUESTION in cursor.run("check", "--campaign-id", SAMPLE_ID, answers="y\n")[2]
    assert ORGANIZATION_ID in str(cursor.entry())


def test_if_the_entry_cannot_be_written_the_command_is_printed_too(
    tmp_path: Path, sandbox_environment: dict[str, str]
) -> None:
    """Only the host's own program may write the configuration of Claude Code, and it is not on the PATH."""
    home = Home(tmp_path, "claude-code")
    put_entry(home, "/x/callers-mcp", **sandbox_environment)
    before = home.files()
    code, out, errors = home.run("check", "--campaign-id", SAMPLE_ID, answers="y\n")
    assert code == 1
    assert f"Write {ORGANIZATION} to Claude Code?" in errors
    assert f"PROBLEM  Organization: {ORGANIZATION} could not be written" in out
    assert f"callers-mcp install claude-code --campaign-id {SAMPLE_ID} writes {ORGANIZATION}" in out
    assert home.files() == before
