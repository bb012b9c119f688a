"""The server lives exactly as long as its host: however the host leaves, the process stops, quietly.

Each test needs a process of its own, as it stops it.
"""

import signal
import sys

import pytest

from tests.support import fault_server as fault
from tests.support.constants import SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import Held, environment_of
from tests.support.stdio_process import Pipe

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal or pipe state")

PATIENT = """
from callers_mcp import stdio
from callers_mcp.cli import main
import sys
assert stdio._GRACE_SECONDS < 1
stdio._GRACE_SECONDS = 60  # so that a slow machine has the time to answer
sys.argv = ["callers-mcp"]
main()
"""
BLOCKED_RESOLVER = """
import socket, time
socket.getaddrinfo = lambda *a, **k: time.sleep(600)
from callers_mcp.cli import main
import sys
sys.argv = ["callers-mcp"]
main()
"""


@pytest.mark.measured
def test_it_stops_with_exit_code_0_and_an_empty_stderr_when_stdin_closes(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdin.close()
        assert pipe.end() == (0, "")


def test_it_stops_when_the_host_never_sends_a_message() -> None:
    with Pipe() as pipe:
        pipe.stdin.close()
        assert pipe.end() == (0, "")


def test_a_call_in_flight_is_answered_when_stdin_closes_and_its_request_is_cancelled() -> None:
    with FaultServer(Held(only=SAMPLE_ID)) as api, Pipe(environment=environment_of(api), code=PATIENT) as pipe:
        pipe.handshake()
        request_id = pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        api.wait_for_requests(1)
        pipe.stdin.close()
        answer = pipe.receive()
        assert (answer["id"], answer["error"]["message"]) == (request_id, "Connection closed")
        assert pipe.end() == (0, "")
        api.wait_for_disconnect()


def test_it_stops_when_stdin_closes_while_a_thread_waits_for_the_resolver() -> None:
    environment = {"CALLERS_API_KEY": "key", "CALLERS_LOG_LEVEL": "WARNING"}
    with Pipe(environment=environment, code=BLOCKED_RESOLVER) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        pipe.ask("ping")
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@pytest.mark.measured
def test_it_stops_when_stdin_closes_while_its_stdout_is_full() -> None:
    body = b'{"filler": "%s"}' % (b"x" * 500_000)  # more than a pipe holds
    with FaultServer(fault.answer(body)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        assert pipe.stdout.read(1)  # it writes, and is stuck
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.measured
def test_it_stops_when_the_host_closes_only_its_stdout(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdout.close()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.measured
def test_it_stops_when_its_stdout_breaks_while_it_answers() -> None:
    with FaultServer(held := Held(only=SAMPLE_ID)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        api.wait_for_requests(1)
        pipe.stdout.close()
        held.release()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a call"])
@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGINT, {130}), (signal.SIGTERM, {143, -15})], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_stops_it_with_at_most_one_line(number: signal.Signals, codes: set[int], busy: bool) -> None:
    with FaultServer(Held(only=SAMPLE_ID)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        if busy:
            pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
            api.wait_for_requests(1)
        pipe.process.send_signal(number)
        code, errors = pipe.end()
    assert code in codes
    assert errors.count("\n") <= 1
    assert "Traceback" not in errors


@POSIX
def test_ctrl_c_is_quiet_while_it_is_still_loading() -> None:
    code = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name in ("click", "mcp"):
            os.kill(os.getpid(), signal.SIGINT)
from callers_mcp.cli import main
sys.meta_path.insert(0, Interrupt())
sys.argv = ["callers-mcp"]
main()
"""
    with Pipe(code=code) as pipe:
        assert pipe.end() == (130, "")
