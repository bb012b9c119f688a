"""The bench runs; what it measures is for its reader, as no test's verdict depends on the machine's speed."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("bench.py")


def test_the_bench_prints_a_ratio_for_each_figure() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rounds", "1", "--calls", "10"], capture_output=True, text=True, check=True
    )
    assert [line.split("|")[1].strip().split(",")[0] for line in done.stdout.splitlines()[2:]] == [
        "cold start",
        "p50 of a call",
        "calls a second",
        "peak memory",
    ]
