"""The server lives exactly as long as its host: however that goes, the process ends, quietly."""

import signal
import sys

import pytest

from tests.support.constants import PATIENCE, SAMPLE_ID
from tests.support.stdio_process import HeldApi, Pipe

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal or pipe state")

BLOCKED_RESOLVER = """
import socket, time
socket.getaddrinfo = lambda *a, **k: time.sleep(600)
from callers_mcp.cli import main
import sys
sys.argv = ["callers-mcp"]
main()
"""


@pytest.mark.measured
def test_it_ends_with_0_and_nothing_to_say_when_stdin_closes(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdin.close()
        assert pipe.end() == (0, "")


def test_it_ends_when_the_host_never_says_a_word() -> None:
    with Pipe() as pipe:
        pipe.stdin.close()
        assert pipe.end() == (0, "")


def test_a_call_in_flight_is_answered_when_stdin_closes_and_its_request_is_cancelled() -> None:
    with HeldApi(held=SAMPLE_ID) as api, Pipe(environment=api.environment) as pipe:
        pipe.handshake()
        request_id = pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        assert api.arrived.wait(PATIENCE)
        pipe.stdin.close()
        answer = pipe.receive()
        assert (answer["id"], answer["error"]["message"]) == (request_id, "Connection closed")
        assert pipe.end() == (0, "")
        assert api.left.wait(PATIENCE)


def test_it_ends_when_stdin_closes_while_a_thread_waits_for_the_resolver() -> None:
    environment = {"CALLERS_API_KEY": "key", "CALLERS_LOG_LEVEL": "WARNING"}
    with Pipe(environment=environment, code=BLOCKED_RESOLVER) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        pipe.ask("ping")
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@pytest.mark.measured
def test_it_ends_when_stdin_closes_while_nobody_reads_what_it_writes() -> None:
    body = b'{"filler": "%s"}' % (b"x" * 500_000)  # more than a pipe holds
    with HeldApi(body) as api, Pipe(environment=api.environment) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        assert pipe.stdout.read(1)  # it writes, and is stuck
        pipe.stdin.close()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.measured
def test_it_ends_when_the_host_closes_its_stdout_alone(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        pipe.stdout.close()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.measured
def test_it_ends_when_its_stdout_breaks_while_it_answers() -> None:
    with HeldApi(held=SAMPLE_ID) as api, Pipe(environment=api.environment) as pipe:
        pipe.handshake()
        pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
        assert api.arrived.wait(PATIENCE)
        pipe.stdout.close()
        api.release.set()
        assert pipe.end() == (0, "")


@POSIX
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a call"])
@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGINT, {130}), (signal.SIGTERM, {143, -15})], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_it_with_at_most_one_line(number: signal.Signals, codes: set[int], busy: bool) -> None:
    with HeldApi(held=SAMPLE_ID) as api, Pipe(environment=api.environment) as pipe:
        pipe.handshake()
        if busy:
            pipe.send("tools/call", {"name": "get_campaign", "arguments": {"campaign_id": SAMPLE_ID}})
            assert api.arrived.wait(PATIENCE)
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


def test_a_host_that_never_reads_stderr_gets_its_answers(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        for _ in range(350):  # a long line of the log each: together more than a pipe holds
            assert pipe.call({"campaign_id": SAMPLE_ID, "sub_organization_id": "x" * 128})["isError"]
        pipe.stdin.close()
        assert pipe.process.wait(PATIENCE) == 0


def test_what_a_library_prints_never_reaches_the_protocol(sandbox_environment: dict[str, str]) -> None:
    code = """
import os, sys
from callers_mcp.server.tools import get_campaign
summarize = get_campaign.summarize
def loud(*a, **k):
    print("stray", flush=True)
    os.write(1, b"stray too\\n")
    return summarize(*a, **k)
get_campaign.summarize = loud
from callers_mcp.cli import main
sys.argv = ["callers-mcp"]
main()
"""
    with Pipe(environment=sandbox_environment, code=code) as pipe:
        pipe.handshake()
        assert pipe.call()["isError"] is False  # each line that is received has been parsed as JSON
        pipe.stdin.close()
        code_and_errors = pipe.end()
    assert code_and_errors[0] == 0
    assert "stray\n" in code_and_errors[1]
    assert "stray too\n" in code_and_errors[1]


@pytest.mark.measured
def test_the_log_never_shows_the_key_in_any_case(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment | {"CALLERS_API_KEY": "SeCretKey42"}) as pipe:
        pipe.handshake()
        answer = pipe.call({"campaign_id": SAMPLE_ID, "sub_organization_id": "secretkey42"})
        assert answer["_meta"]["callers-mcp/error"]["kind"] == "invalid_arguments"
        pipe.stdin.close()
        _, log = pipe.end()
    assert "look-up: " in log
    assert "secretkey42" not in (log + str(answer)).lower()
