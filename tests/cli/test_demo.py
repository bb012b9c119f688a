"""``callers-mcp demo`` and ``callers-mcp sandbox`` show the server at work without an account."""

import re
import shlex
import signal
from pathlib import Path

import pytest

from callers_mcp.install.entry import server_command
from callers_mcp.sandbox import SUB_ORGANIZATION_ID, Sandbox, sample_ids
from tests.support.command_line import run, run_process
from tests.support.constants import SAMPLE_ID
from tests.support.stdio_process import Pipe


@pytest.mark.measured
def test_the_demo_shows_each_kind_of_campaign_and_suggests_commands_that_work(tmp_path: Path) -> None:
    code, out, errors = run_process("demo")
    assert (code, errors) == (0, "")
    assert "\x1b" not in out  # colours only on a terminal
    for words in (
        "Running outbound campaign, ",
        "Running inbound campaign, ",
        "Completed outbound campaign, ",
        "New chats paused: outbound campaign",
        "Needs attention:",
        f"Looked up in: sub-organization {SUB_ORGANIZATION_ID}",
        "No campaign 665f1c2ab1e4a9d0c7f3b8ff is visible",
    ):
        assert words in out
    steps = [shlex.split(step) for step in re.findall(r"^With .*?:  +(.*)$", out, re.MULTILINE)]
    server = server_command()  # the demo has started this one
    assert steps == [[*server, "install", "claude-desktop", *option] for option in (["--sandbox"], [])]
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    code, out, errors = run(*steps[0][len(server) :], environment=home)
    assert (code, "Traceback" in errors) == (0, False)
    assert str(tmp_path) in out


@pytest.mark.measured
def test_the_demo_stops_without_an_error_if_its_output_is_closed() -> None:
    with Pipe("demo") as pipe:
        pipe.stdout.readline()
        pipe.stdout.close()
        _, errors = pipe.end()
    assert errors == ""


@pytest.mark.measured
def test_the_sandbox_command_serves_the_campaigns_that_it_names_and_stops_without_an_error() -> None:
    with Pipe("sandbox") as pipe:
        lines = [pipe.stdout.readline().decode().strip() for _ in range(4)]
        environment = dict(line.split("=") for line in lines[1:3])
        assert lines[3].endswith(sample_ids())
        assert run("get", SAMPLE_ID, environment=environment)[0] == 0
        pipe.process.send_signal(signal.SIGINT)
        assert pipe.end() == (130, "")


def test_the_sandbox_command_reports_a_port_in_use_in_one_line(sandbox: Sandbox) -> None:
    port = sandbox.base_url.rpartition(":")[2]
    code, out, errors = run("sandbox", "--port", port)
    assert (code, out) == (1, "")
    assert port in errors
    assert errors.count("\n") == 1
