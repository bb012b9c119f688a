"""``callers-mcp demo`` and ``callers-mcp sandbox`` show the server at work without an account."""

import gc
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp import StdioServerParameters
from mcp.server import Server

from callers_mcp import Settings, create_server
from callers_mcp.cli import main
from callers_mcp.install.entry import server_command
from callers_mcp.sandbox import SUB_ORGANIZATION_ID, Sandbox, sample_ids
from tests.support.command_line import run
from tests.support.constants import SAMPLE_ID
from tests.support.stdio_process import Pipe


@pytest.fixture
def _server_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect the demo's client to a server in the test process, which the parameters of the process configure."""

    def connect(parameters: StdioServerParameters) -> Server[Any]:
        for name, value in (parameters.env or {}).items():
            monkeypatch.setenv(name, value)
        return create_server(Settings.from_environment())

    monkeypatch.setattr("mcp.stdio_client", connect)


@pytest.mark.slow
def test_the_demo_fits_forty_lines_and_suggests_commands_that_work(tmp_path: Path) -> None:
    """With the real server as a process, as for everyone."""
    code, out, errors = run("demo")
    assert (code, errors) == (0, "")
    assert "\x1b" not in out  # colours only on a terminal
    assert len(out.splitlines()) <= 40
    for words in ("Running outbound campaign, ", f'get_campaign {{"campaign_id": "{SAMPLE_ID}"}}'):
        assert words in out
    steps = [shlex.split(step) for step in re.findall(r"^With .*?:  +(.*)$", out, re.MULTILINE)]
    server = server_command()  # the demo has started this one
    assert steps == [[*server, "install", "claude-desktop", *option] for option in (["--sandbox"], [])]
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    code, out, errors = run(*steps[0][len(server) :], environment=home)
    assert (code, "Traceback" in errors) == (0, False)
    assert str(tmp_path) in out


@pytest.mark.slow
@pytest.mark.usefixtures("_server_in_this_process")
def test_the_demo_shows_each_kind_of_campaign_on_request() -> None:
    code, out, errors = run("demo", "--all")
    assert (code, errors) == (0, "")
    for words in (
        "Running outbound campaign, ",
        "Running inbound campaign, ",
        "Completed outbound campaign, ",
        "New chats paused: outbound campaign",
        "Needs attention:",
        f"Looked up in: sub-organization {SUB_ORGANIZATION_ID}",
        "No campaign 665f1c2ab1e4a9d0c7f3b8ff is visible",
        "install claude-desktop",
    ):
        assert words in out
    assert "--all" not in out


@pytest.mark.usefixtures("_server_in_this_process")
def test_the_demo_stops_without_an_error_if_its_output_is_closed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As ``head`` closes it, here after the first line."""
    reader, writer = os.pipe()
    connect: Callable[[StdioServerParameters], Any] = mcp.stdio_client

    def close_and_connect(parameters: StdioServerParameters) -> Any:
        os.close(reader)
        return connect(parameters)

    monkeypatch.setattr("mcp.stdio_client", close_and_connect)
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(sys, "argv", ["callers-mcp", "demo"])
    earlier = signal.getsignal(signal.SIGINT)
    try:
        with io.TextIOWrapper(os.fdopen(writer, "wb", buffering=0), write_through=True) as closed:
            monkeypatch.setattr(sys, "stdout", closed)
            main()
    finally:
        signal.signal(signal.SIGINT, earlier)
        gc.enable()
    assert codes == [1]
    assert capfd.readouterr().err == ""


@pytest.mark.measured
def test_the_sandbox_command_prints_lines_that_work_when_pasted_and_stops_without_an_error() -> None:
    with Pipe("sandbox", environment={"CALLERS_API_KEY_FILE": "/absent"}) as pipe:
        lines = [pipe.stdout.readline().decode().strip() for _ in range(8)]
        assert lines[1].endswith(sample_ids())
        assert lines[2].endswith("paste these lines into another terminal:")
        pasted = "\n".join([*lines[3:7], "env"])
        done = subprocess.run(
            ["sh", "-c", pasted], capture_output=True, text=True, env={"CALLERS_API_KEY_FILE": "/absent"}, check=True
        )
        settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("CALLERS_"))
        assert set(settings) == {"CALLERS_BASE_URL", "CALLERS_API_KEY", "CALLERS_ORGANIZATION_ID"}
        assert shlex.split(lines[7]) == [*server_command(), "get", SAMPLE_ID]
        assert run("get", SAMPLE_ID, environment=settings)[0] == 0
        assert "find_campaigns is enabled" in run("check", environment=settings)[1]
        pipe.process.send_signal(signal.SIGINT)
        assert pipe.end() == (130, "")


def test_the_sandbox_command_reports_a_port_in_use_in_one_line(sandbox: Sandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    code, out, errors = run("sandbox", "--port", port)
    assert (code, out) == (1, "")
    assert port in errors
    assert errors.count("\n") == 1
