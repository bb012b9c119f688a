"""Short load runs: faults at the API, clients that disappear, malformed messages, a caller who floods.

``python tests/load/run.py`` makes the long runs, and repeats a run by its seed.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.load.processes import raise_descriptor_limit
from tests.load.report import Report
from tests.load.run import run_calls, run_flood, run_malformed, run_vanish

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is read from /proc"),
]
SEED = 4  # the seed of all random choices, so that each run does the same


@pytest.fixture(autouse=True, scope="module")
def _many_descriptors() -> None:
    raise_descriptor_limit()


def passes(run: Callable[..., Report]) -> None:
    report = run(SEED, short=True)
    assert not report.problems, f"{report}\n\npython tests/load/run.py --short --seed {SEED}"


def test_every_call_is_answered_with_its_campaign_while_the_api_fails_now_and_then() -> None:
    passes(run_calls)


def test_clients_that_vanish_mid_call_leave_nothing_behind() -> None:
    passes(run_vanish)


def test_no_malformed_message_ends_the_server_or_gets_a_500_or_a_stack_trace() -> None:
    passes(run_malformed)


def test_while_one_caller_floods_another_one_is_answered_soon() -> None:
    passes(run_flood)


def test_the_http_bench_prints_its_tables() -> None:
    bench = Path(__file__).parents[1] / "benchmarks" / "http_bench.py"
    options = ["--rounds", "1", "--turns", "1", "--seconds", "0.2", "--connections", "5"]
    done = subprocess.run([sys.executable, str(bench), "compare", *options], capture_output=True, text=True, check=True)
    assert done.stdout.count("| calls a second |") == 2
