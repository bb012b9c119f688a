"""The benchmark runs. Its figures have no verdict here, since they depend on the speed of the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).with_name("bench.py")


@pytest.mark.slow
def test_the_bench_prints_a_ratio_for_each_figure() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rounds", "1", "--calls", "10"], capture_output=True, text=True, check=True
    )
    assert [line.split("|")[1].strip().split(",")[0] for line in done.stdout.splitlines()[2:]] == [
        "cold start",
        "first call answered",
        "p50 of a call",
        "calls a second",
        "peak memory",
    ]
