"""What a server process writes: the protocol and nothing else on stdout, a log without the key on stderr."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.constants import ID, KEY, PATIENCE, SAMPLE_ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import KNOWN
from tests.support.stdio_process import Pipe

if sys.platform == "linux":
    import fcntl

LOUD_THEN_BROKEN = """
import os, sys
from callers_mcp.campaign import lookup
summarize = lookup.summarize
def broken(*a, **k):
    raise RuntimeError("inner words")
def loud(*a, **k):
    print("stray", flush=True)
    os.write(1, b"stray too\\n")
    lookup.summarize = broken
    return summarize(*a, **k)
lookup.summarize = loud
from callers_mcp.cli import main
sys.argv = ["callers-mcp"]
main()
"""


@dataclass(frozen=True)
class Run:
    """A process that has stopped: its answers, exit code and stderr."""

    loud: dict[str, Any]
    broken: dict[str, Any]
    refused: dict[str, Any]
    after: dict[str, Any]
    code: int
    log: str


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Make a call in which a library prints, one that meets a bug, and one with the key as an argument."""
    with FaultServer(KNOWN) as api:
        environment = {"CALLERS_BASE_URL": api.base_url, "CALLERS_API_KEY": KEY}
        with Pipe(environment=environment, code=LOUD_THEN_BROKEN) as pipe:
            pipe.handshake()
            loud, broken = pipe.call({"campaign_id": ID}), pipe.call({"campaign_id": ID})
            refused = pipe.call({"campaign_id": ID, "sub_organization_id": KEY.lower()})
            after = pipe.ask("ping")
            pipe.stdin.close()
            code, log = pipe.end()
    yield Run(loud, broken, refused, after, code, log)


def test_what_a_library_prints_goes_to_stderr(run: Run) -> None:
    assert run.loud["isError"] is False  # each line of stdout has been parsed as JSON
    assert run.code == 0
    assert "stray\n" in run.log
    assert "stray too\n" in run.log


def test_a_bug_is_answered_with_a_reference_to_the_log_and_without_pythons_words(run: Run) -> None:
    text = run.broken["content"][0]["text"]
    assert run.broken["isError"]
    assert run.broken["_meta"]["callers-mcp/error"]["kind"] == "internal"
    assert "inner words" not in text
    reference = re.search(r"reference (\w+)", text)
    assert reference
    assert f"internal error {reference[1]} " in run.log
    assert "RuntimeError: inner words" in run.log
    assert "result" in run.after


def test_the_log_never_shows_the_key_in_any_case(run: Run) -> None:
    assert run.refused["_meta"]["callers-mcp/error"]["kind"] == "invalid_arguments"
    assert "look-up: " in run.log
    assert KEY.lower() not in (run.log + str(run.refused)).lower()


@pytest.mark.slow
def test_a_host_that_never_reads_stderr_gets_its_answers(sandbox_environment: dict[str, str]) -> None:
    with Pipe(environment=sandbox_environment) as pipe:
        pipe.handshake()
        calls = 350  # each writes a long line to the log: together more than a pipe holds
        if sys.platform == "linux":
            assert pipe.process.stderr
            fcntl.fcntl(pipe.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
            calls = 30
        for _ in range(calls):
            assert pipe.call({"campaign_id": SAMPLE_ID, "sub_organization_id": "x" * 128})["isError"]
        pipe.stdin.close()
        assert pipe.process.wait(PATIENCE) == 0
