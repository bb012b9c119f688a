"""The command line: what it prints, and its exit codes, as real processes."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import callers_mcp
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, SUB_ORGANIZATION_ID, Sandbox, sample_ids
from tests.conftest import inherited
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.command_line import run
from tests.support.constants import ID, SAMPLE_ID, SAMPLE_IN_SUB_ORGANIZATION
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.stdio_process import Pipe

pytestmark = pytest.mark.measured
WITH_PROBLEMS = "665f1c2ab1e4a9d0c7f3b805"
COMMANDS = ["check", "config", "demo", "get", "http", "install", "sandbox", "token", "uninstall"]


def test_the_version_needs_neither_the_sdk_nor_the_client() -> None:
    code = """
import sys
sys.argv = ["callers-mcp", "--version"]
from callers_mcp.cli import main
try:
    main()
finally:
    print(sorted({"mcp", "httpx2", "pydantic", "anyio"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"callers-mcp {callers_mcp.__version__}\n[]\n"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda command: " ".join(command) or "-")
def test_help_fits_a_screen_and_has_an_example(command: list[str]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert re.search(r"Examples?:\s+(CALLERS_\S+ )?callers-mcp", out)
    assert len(out.splitlines()) <= 24


def test_get_prints_the_text_that_the_model_gets(sandbox_environment: dict[str, str]) -> None:
    code, out, errors = run("get", SAMPLE_ID, environment=sandbox_environment)
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        text = pipe.call()["content"][0]["text"]
    assert (code, errors) == (0, "")
    assert _timeless(out) == _timeless(text + "\n")


def _timeless(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\S+", "TIME", text)


def test_get_json_is_the_structured_content(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run("get", SAMPLE_ID, "--json", environment=sandbox_environment)
    assert code == 0
    assert json.loads(out)["summary"]["id"] == json.loads(out)["raw"]["id"] == SAMPLE_ID


def test_get_raw_is_the_raw_json_alone(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run("get", WITH_PROBLEMS, "--raw", environment=sandbox_environment)
    assert code == 0
    assert json.loads(out)["name"].startswith("Sample: Win-back\u202e\n")
    assert out.count("\n") == 1


def test_get_looks_into_a_sub_organization(sandbox_environment: dict[str, str]) -> None:
    code, out, _ = run(
        "get", SAMPLE_IN_SUB_ORGANIZATION, "--sub-organization", SUB_ORGANIZATION_ID, environment=sandbox_environment
    )
    assert code == 0
    assert SUB_ORGANIZATION_ID in out


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (["0" * 24], {}, 1, "No campaign 000000000000000000000000"),
        (["nonsense"], {}, 2, "24 hexadecimal digits"),
        ([SAMPLE_ID, "--sub-organization", "a b"], {}, 2, "sub_organization_id"),
        ([], {}, 2, "Missing argument"),
        ([SAMPLE_ID], {"CALLERS_API_KEY": ""}, 2, "CALLERS_API_KEY"),
        ([SAMPLE_ID], {"CALLERS_API_KEY": "wrong"}, 1, "refused the API key"),
        ([SAMPLE_ID], {"CALLERS_TIMEOUT": "soon"}, 2, "CALLERS_TIMEOUT"),
    ],
)
def test_get_says_on_stderr_what_failed(
    sandbox_environment: dict[str, str], arguments: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    got, out, errors = run("get", *arguments, environment=sandbox_environment | environment)
    assert (got, out) == (code, "")
    assert says in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        ([], {}, 0, "the key is not tested"),
        (["--campaign-id", SAMPLE_ID], {}, 0, "Running outbound campaign"),
        (["--campaign-id", SAMPLE_ID], {"CALLERS_API_KEY": "wrong"}, 1, "refused the API key"),
        (
            ["--campaign-id", SAMPLE_ID],
            {},
            0,
            f"set CALLERS_ORGANIZATION_ID={ORGANIZATION_ID} to find campaigns by name",
        ),
        (["--campaign-id", SAMPLE_ID], {"CALLERS_ORGANIZATION_ID": ORGANIZATION_ID}, 0, "find_campaigns is offered"),
        (["--campaign-id", SAMPLE_ID], {"CALLERS_ORGANIZATION_ID": "0" * 24}, 1, f"belongs to {ORGANIZATION_ID}"),
        ([], {"CALLERS_API_KEY": ""}, 1, "API key: not set"),
        ([], {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/nonexistent"}, 1, "CALLERS_API_KEY_FILE"),
        ([], {"CALLERS_BASE_URL": "http://127.0.0.1:9"}, 1, "refused (3 attempts)"),
        ([], {"CALLERS_TIMEOTU": "3"}, 1, "did you mean CALLERS_TIMEOUT?"),
        ([], {"CALLERS_SUB_ORGANIZATIONS": "a,b"}, 1, "a call that names no sub-organization is refused"),
        ([], {"CALLERS_SUB_ORGANIZATIONS": "a", "CALLERS_ORGANIZATION_ID": "b"}, 0, "Looks into: a\n"),
        ([], {"CALLERS_ORGANIZATION_ID": "65aa"}, 0, "CALLERS_ORGANIZATION_ID: 65aa\n"),
        ([], {"CALLERS_SUB_ORGANIZATION_ID": "${x}"}, 1, "CALLERS_SUB_ORGANIZATION_ID"),
        ([], {"CALLERS_ORGANIZATION_ID": f"x{API_KEY}"}, 1, "CALLERS_ORGANIZATION_ID holds the API key, not an id"),
        ([], {"CALLERS_MAX_ATTEMPTS": "2", "CALLERS_SUB_ORGANIZATIONS": "main,b"}, 0, "CALLERS_MAX_ATTEMPTS: 2"),
    ],
)
def test_check_says_line_by_line_what_it_found(
    sandbox_environment: dict[str, str], arguments: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    got, out, _ = run("check", *arguments, environment=sandbox_environment | environment)
    assert got == code
    assert says in out
    assert all(line.startswith(("ok     ", "FOUND  ")) for line in out.splitlines())
    assert ("FOUND" in out) == (code == 1)


KNOWN = fault.answer(campaign())


@pytest.mark.parametrize(
    ("second", "code", "says"),
    [
        (fault.error(403), 0, "ok     Isolation: the API refuses"),
        (KNOWN, 1, "FOUND  Isolation: the API answers under a made-up sub-organization too"),
        (fault.error(500), 1, "FOUND  Isolation: could not be tested. The Callers API can't answer now"),
    ],
)
def test_check_asks_under_a_made_up_sub_organization_and_warns_where_that_is_answered(
    second: Behaviour, code: int, says: str
) -> None:
    with FaultServer(KNOWN, second) as server:
        environment = {
            "CALLERS_BASE_URL": server.base_url,
            "CALLERS_API_KEY": "key",
            "CALLERS_SUB_ORGANIZATION_ID": "a",
        }
        got, out, _ = run("check", "--campaign-id", ID, environment=environment)
    assert got == code
    assert says in out
    first, made_up = (request.values("x-sub-organization-id") for request in server.requests)
    assert first == ["a"]
    assert re.fullmatch("[0-9a-f]{24}", made_up[0])
    assert server.requests[1].target == f"/campaigns/{ID}"
    assert server.requests[1].values("authorization") == ["key"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [([], {"CALLERS_BASE_URL": "http://example.com"}), (["--campaign-id", "nonsense"], {})],
)
def test_check_ends_with_2_where_settings_or_usage_are_wrong(arguments: list[str], environment: dict[str, str]) -> None:
    code, out, errors = run("check", *arguments, environment=environment)
    assert (code, out) == (2, "")
    assert "Traceback" not in errors


def test_check_shows_no_key_and_sends_none_without_a_campaign(sandbox_environment: dict[str, str]) -> None:
    _, out, errors = run("check", environment=sandbox_environment | {"CALLERS_API_KEY": "planted-key-123"})
    assert "planted-key-123" not in out + errors
    assert "set, from CALLERS_API_KEY" in out
    assert "status 401" in out


def test_get_prints_any_script_wherever_its_output_goes(sandbox_environment: dict[str, str]) -> None:
    odd = sandbox_environment | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    code, out, errors = run("get", WITH_PROBLEMS, "--sub-organization", "\u2603", environment=odd)
    assert (code, out) == (2, "")
    assert "\u2603" in errors
    assert "Traceback" not in errors


def test_get_says_which_settings_it_ignores(sandbox_environment: dict[str, str]) -> None:
    environment = sandbox_environment | {"CALLERS_TIMEOUTT": "1", "CALLERS_MAX_ATTEMPTS": "${x}"}
    code, _, errors = run("get", SAMPLE_ID, environment=environment)
    assert code == 0
    assert "did you mean CALLERS_TIMEOUT?" in errors
    assert "CALLERS_MAX_ATTEMPTS" in errors


def test_get_ends_at_its_deadline_whatever_the_resolver_does() -> None:
    code = """
import socket, sys, time
socket.getaddrinfo = lambda *a, **k: time.sleep(600)
sys.argv = ["callers-mcp", "get", "665f1c2ab1e4a9d0c7f3b801"]
from callers_mcp.cli import main
main()
"""
    with Pipe(environment={"CALLERS_API_KEY": "key", "CALLERS_TIMEOUT": "0.2"}, code=code) as pipe:
        exit_code, errors = pipe.end()
    assert exit_code == 1
    assert "within 0.2 seconds" in errors


def test_the_sandbox_command_serves_what_it_says_and_ends_quietly() -> None:
    with Pipe("sandbox") as pipe:
        lines = [pipe.stdout.readline().decode().strip() for _ in range(4)]
        environment = dict(line.split("=") for line in lines[1:3])
        assert lines[3].endswith(sample_ids())
        assert run("get", SAMPLE_ID, environment=environment)[0] == 0
        pipe.process.send_signal(signal.SIGINT)
        assert pipe.end() == (130, "")


def test_a_port_that_is_taken_is_said_in_a_line(sandbox: Sandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    code, out, errors = run("sandbox", "--port", port)
    assert (code, out) == (1, "")
    assert port in errors
    assert errors.count("\n") == 1


def test_sandbox_goes_with_the_server_alone() -> None:
    code, _, errors = run("--sandbox", "check")
    assert code == 2
    assert "--sandbox" in errors


def test_a_wrong_setting_ends_the_server_with_one_line() -> None:
    code, out, errors = run(environment={"CALLERS_BASE_URL": "ftp://example.com"})
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1
    assert "CALLERS_BASE_URL" in errors


def test_the_demo_shows_every_kind_of_campaign_and_ends_with_a_step_that_works(tmp_path: Path) -> None:
    code, out, errors = run("demo")
    assert (code, errors) == (0, "")
    assert "\x1b" not in out  # colours only on a terminal
    for words in (
        "Running outbound campaign, ",
        "Running inbound campaign, ",
        "Completed outbound campaign, ",
        "with new chats paused",
        "Needs attention:",
        f"Looked up in: sub-organization {SUB_ORGANIZATION_ID}",
        "No campaign 665f1c2ab1e4a9d0c7f3b8ff is visible",
    ):
        assert words in out
    steps = re.findall(r"^With .*?:  +(.*)$", out, re.MULTILINE)
    assert [step.partition(" install ")[2] for step in steps] == ["claude-desktop --sandbox", "claude-desktop"]
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = subprocess.run(["sh", "-c", steps[0]], env=inherited() | home, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout


def test_the_demo_can_be_cut_off(tmp_path: Path) -> None:
    with Pipe("demo") as pipe:
        pipe.stdout.readline()
        pipe.stdout.close()
        _, errors = pipe.end()
    assert errors == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize(
    ("redirection", "code"), [("2>&-", 0), (">&-", 0), ("<&-", 0)], ids=["stderr", "stdout", "stdin"]
)
def test_get_does_without_a_stream_that_the_shell_closed(
    sandbox_environment: dict[str, str], redirection: str, code: int
) -> None:
    command = f'"{sys.executable}" -m callers_mcp get {SAMPLE_ID} {redirection}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=inherited() | sandbox_environment)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_a_line(sandbox_environment: dict[str, str]) -> None:
    command = f'"{sys.executable}" -m callers_mcp get {SAMPLE_ID} >/dev/full'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=inherited() | sandbox_environment)
    assert (done.returncode, done.stderr) == (1, "callers-mcp: No space left on device\n")


def test_check_shows_the_key_nowhere() -> None:
    environment = {
        "CALLERS_API_KEY": "SeCretKey42",
        "CALLERS_SUB_ORGANIZATION_ID": "SeCretKey42",
        "CALLERS_BASE_URL": "http://127.0.0.1:9/SeCretKey42",
        "CALLERS_SeCretKey42": "x",
        "CALLERS_MAX_ATTEMPTS": "1",
    }
    _, out, errors = run("check", environment=environment)
    assert "secretkey42" not in (out + errors).lower()
