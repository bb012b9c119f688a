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
assert stdio._GRACE_SECONDS + stdio._LAST_WRITE_SECONDS < 2  # after which hosts kill the process
stdio._GRACE_SECONDS = 60  # so that a slow machine has the time to answer
sys.argv = ["callers-mcp"]
main()
"""
IMPATIENT = PATIENT.replace("_GRACE_SECONDS = 60", "_GRACE_SECONDS = 0; stdio._LAST_WRITE_SECONDS = 60")
BLOCKED_RESOLVER = """
import socket, time
socket.getaddrinfo = lambda *a, **k: time.sleep(600)
from callers_mcp.cli import main
import sys
sys.argv = ["callers-mcp"]
main()
"""
BLOCKED_LOOP = """
import sys, time
from callers_mcp.campaign import lookup
def block(*a, **k):
    print("blocked", file=sys.stderr, flush=True)
    time.sleep(600)
lookup.summarize = block
from callers_mcp.cli import main
sys.argv = ["callers-mcp", "--sandbox"]
main()
"""


@pytest.mark.measured
def test_it_stops_with_exit_code_0_and_an_empty_stderr_when_stdin_closes(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@pytest.mark.slow
def test_it_stops_when_the_host_never_sends_a_message() -> None:
    with Pipe() as pipe:
        pipe.stdin.close()
        assert pipe.end() == (0, "")


def look_up(pipe: Pipe, campaign_id: str = SAMPLE_ID) -> int:
    return pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": campaign_id}})


def test_all_calls_in_flight_are_answered_when_stdin_closes_and_then_it_stops() -> None:
    with FaultServer(held := Held()) as api, Pipe(environment=environment_of(api), code=PATIENT) as pipe:
        pipe.handshake()
        ids = [look_up(pipe, f"{number:024x}") for number in range(3)]
        cancelled = look_up(pipe, "f" * 24)
        pipe.notify("notifications/cancelled", {"requestId": str(cancelled)})  # as some hosts write it
        pipe.stdin.write(b'{"jsonrpc":"2.0","id":99,"method":"ping"}')  # a last line that does not end
        pipe.stdin.close()
        api.wait_for_requests(3)
        held.release()
        answers = {answer["id"]: answer for answer in (pipe.receive() for _ in range(4))}
        assert answers.keys() == {*ids, 99}
        assert not [answer for answer in answers.values() if "error" in answer or answer["result"].get("isError")]
        assert pipe.end() == (0, "")


@pytest.mark.slow
def test_calls_that_outlast_the_grace_period_get_an_error_and_their_requests_are_cancelled() -> None:
    with FaultServer(Held()) as api, Pipe(environment=environment_of(api), code=IMPATIENT) as pipe:
        pipe.handshake()
        ids = {look_up(pipe, f"{number:024x}") for number in range(3)}
        api.wait_for_requests(3)
        pipe.stdin.close()
        answers = [pipe.receive() for _ in ids]
        assert {answer["id"] for answer in answers} == ids
        assert {(answer["error"]["code"], answer["error"]["message"]) for answer in answers} == {
            (-32000, "Connection closed")
        }
        assert pipe.end() == (0, "")
        api.wait_for_disconnect()


@pytest.mark.slow
def test_it_stops_when_stdin_closes_while_a_thread_waits_for_the_resolver() -> None:
    environment = {"CALLERS_API_KEY": "key", "CALLERS_LOG_LEVEL": "WARNING"}
    with Pipe(environment=environment, code=BLOCKED_RESOLVER) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        pipe.ask("ping")
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@pytest.mark.slow
def test_it_stops_when_stdin_closes_while_its_event_loop_is_busy() -> None:
    with Pipe(code=BLOCKED_LOOP) as pipe:
        pipe.handshake()
        look_up(pipe)
        assert pipe.process.stderr
        assert pipe.process.stderr.readline() == b"blocked\n"
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@pytest.mark.slow
@pytest.mark.measured
def test_it_stops_when_stdin_closes_while_its_stdout_is_full() -> None:
    body = b'{"filler": "%s"}' % (b"x" * 500_000)  # more than a pipe holds
    with FaultServer(fault.answer(body)) as api, Pipe(environment=environment_of(api)) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        assert pipe.stdout.read(1)  # it writes, and is stuck
        pipe.write("not JSON")  # another message that can't be answered
        pipe.stdin.close()
        code, log = pipe.end()
        assert (code, log.count("\n")) == (0, 1)


@POSIX
@pytest.mark.measured
def test_it_stops_when_the_host_closes_only_its_stdout(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdout.close()
        assert pipe.end() == (0, "")


@pytest.mark.slow
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
@pytest.mark.parametrize("busy", [pytest.param(False, marks=pytest.mark.slow), True], ids=["idle", "in a call"])
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
