"""Commands as processes: exit codes, streams that are closed, full or in another encoding, and threads."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import inherited
from tests.support.command_line import run, run_process
from tests.support.constants import KEY, SAMPLE_ID
from tests.support.hosted_server import Hosted
from tests.support.install_home import Home, realistic
from tests.support.stdio_process import Pipe


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["config", "cursor"], 0), (["get", "0" * 24], 1)],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_process_exits_and_prints_the_same_as_a_command_inside_the_test_process(
    sandbox_environment: dict[str, str], tmp_path: Path, arguments: list[str], code: int
) -> None:
    environment = sandbox_environment | {"HOME": str(tmp_path), "CALLERS_HTTP_TOKEN_FILE": str(tmp_path / "absent")}
    done = run_process(*arguments, environment=environment)
    assert done[0] == code
    assert _without_times(done) == _without_times(run(*arguments, environment=environment))


def _without_times(done: tuple[int, str, str]) -> list[str]:
    return [re.sub(r"\[\d+ ms\]", "[TIME]", str(part)) for part in done]


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "<&-"], ids=["stderr", "stdout", "stdin"])
def test_get_works_with_a_stream_that_the_shell_closed(sandbox_environment: dict[str, str], redirection: str) -> None:
    command = f'"{sys.executable}" -m callers_mcp get {SAMPLE_ID} {redirection}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=inherited() | sandbox_environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("Running outbound campaign" in done.stdout) == (redirection != ">&-")


@pytest.mark.measured
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_in_one_line(sandbox_environment: dict[str, str]) -> None:
    command = f'"{sys.executable}" -m callers_mcp get {SAMPLE_ID} >/dev/full'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=inherited() | sandbox_environment)
    assert (done.returncode, done.stderr) == (1, "callers-mcp: No space left on device\n")


def test_get_prints_any_script_with_any_encoding_of_its_streams(sandbox_environment: dict[str, str]) -> None:
    ascii_only = sandbox_environment | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    code, out, errors = run_process("get", SAMPLE_ID, "--sub-organization", "\u2603", environment=ascii_only)
    assert (code, out) == (2, "")
    assert "\u2603" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has its file names in Unicode")
def test_paths_in_a_configuration_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    """Installed in one locale and removed in another; then nothing of the package is left, except the backup."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0"}
    home = Home(tmp_path / "J\u00fcrgen", "cursor", settings=ascii_only).put_realistic()
    home.settings["CALLERS_API_KEY"] = KEY
    assert home.run_process("install")[0] == 0
    assert str(home.key_file) in home.config.read_text("utf-8")
    assert "nothing was changed" in home.run("install")[1]  # the test process has UTF-8
    code, out, errors = home.run_process("uninstall")
    assert (code, errors) == (0, "")
    assert f"Removed the key file {home.key_file}." in out
    assert home.config.read_bytes() == realistic("cursor")
    assert not home.key_file.exists()


def test_get_exits_at_its_deadline_while_a_thread_still_resolves_the_name() -> None:
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


def test_a_wrong_setting_stops_the_server_with_one_line() -> None:
    code, out, errors = run_process(environment={"CALLERS_BASE_URL": "ftp://example.com"})
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1
    assert "CALLERS_BASE_URL" in errors


def test_the_server_prints_nothing_for_a_host_that_closes_stdin() -> None:
    """The hint for people is printed only on a terminal."""
    assert run_process() == (0, "", "")


UNUSABLE = {
    "OTEL_PROPAGATORS": "tracecontext,baggage,b3",
    "OTEL_PYTHON_TRACER_PROVIDER": "x",
    "OTEL_PYTHON_CONTEXT": "x",
    "OTEL_PYTHON_METER_PROVIDER": "x",
    "SSLKEYLOGFILE": "/nowhere/keys",
    "WEB_CONCURRENCY": "auto",
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
    "prometheus_multiproc_dir": "/nowhere",
}
"""Variables of other libraries, with values with which these libraries fail."""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["", pytest.param("check", marks=pytest.mark.slow)])
def test_a_variable_of_another_library_is_at_most_named(sandbox_environment: dict[str, str], command: str) -> None:
    code, _, errors = run_process(*command.split(), environment=sandbox_environment | UNUSABLE)
    assert code == 0
    named = [line.split()[1] for line in errors.splitlines() if "is ignored" in line]
    assert named == ["OTEL_PROPAGATORS", "OTEL_PYTHON_TRACER_PROVIDER", "SSLKEYLOGFILE"]
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_variable_of_another_library_does_not_stop_a_hosted_server(sandbox_environment: dict[str, str]) -> None:
    environment = sandbox_environment | UNUSABLE | {"CALLERS_HTTP_METRICS": "127.0.0.1:0"}
    with Hosted(environment=environment) as hosted:
        assert hosted.look_up(SAMPLE_ID).status == 200
