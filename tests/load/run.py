"""Load, clients that disappear, malformed messages and a caller who floods, against the hosted server on loopback.

    python tests/load/run.py [calls] [vanish] [malformed] [flood] [--short] [--seed N]

Without a name all run. Each stops by itself. The exit code is 1 if there was a problem.
"""

import argparse
import random
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[2]))  # if this file is started as a script

from tests.load import calls, flood, malformed, vanish
from tests.load.processes import OURS, Api, raise_descriptor_limit, serve
from tests.load.report import Report

Command = Sequence[str]


def run_calls(seed: int, *, short: bool = False, server: Command = OURS) -> Report:
    """Call 20,000 times while the API sometimes fails.

    With eight attempts each campaign is found. With three, as by default and in the short run, 4 of 1,000 calls get an
    error.
    """
    attempts = "3" if short else "8"
    # In a short run memory has not settled, so only a leak of megabytes per call would show.
    count, connections, growth = (300, 30, 0.2) if short else (20_000, 100, calls.GROWTH)
    with Api(latency=0.005, faults=seed) as api, serve(server, api, CALLERS_MAX_ATTEMPTS=attempts) as target:
        return calls.run(target, api, count=count, connections=connections, seed=seed, growth=growth)


def run_vanish(seed: int, *, short: bool = False, server: Command = OURS) -> Report:
    """Let 2,000 clients disappear during a call."""
    count, growth = (100, 0.5) if short else (2_000, 0.1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    settings: dict[str, Any] = {
        "CALLERS_HTTP_METRICS": metrics,
        "CALLERS_MAX_CONNECTIONS": str(2 * vanish.POOL),  # one caller may use half of them
        "CALLERS_TIMEOUT": "600",  # so that no look-up times out during the run
    }
    with Api() as api, serve(server, api, **settings) as target:
        url = f"http://{metrics}/metrics"
        return vanish.run(target, api, count=count, seed=seed, growth=growth, metrics=url)


def run_malformed(seed: int, *, short: bool = False, server: Command = OURS) -> Report:
    """Send 5,000 malformed messages."""
    with Api() as api, serve(server, api) as target:
        return malformed.run(target, count=200 if short else 5_000, seed=seed)


def run_flood(seed: int, *, short: bool = False, server: Command = OURS) -> Report:
    """Let one caller flood the server while another one calls."""
    settings = {"CALLERS_ORGANIZATION_ID": "a" * 24, "CALLERS_MAX_ATTEMPTS": "1"}
    with Api(latency=0.005) as api, serve(server, api, callers=2, **settings) as target:
        return flood.run(target, count=50 if short else 500, seed=seed)


RUNS: dict[str, Callable[..., Report]] = {
    "calls": run_calls,
    "vanish": run_vanish,
    "malformed": run_malformed,
    "flood": run_flood,
}


def main() -> None:
    """Run the named runs, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", default=[], help=", ".join(RUNS))
    parser.add_argument("--short", action="store_true", help="a few seconds of each")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats a run")
    parser.add_argument("--server", type=shlex.split, default=OURS, help="the command that starts the server")
    options = parser.parse_args()
    raise_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    problems = 0
    for name in options.runs or RUNS:
        report = RUNS[name](options.seed, short=options.short, server=options.server)
        click.echo(f"\n{report}")
        problems += len(report.problems)
    click.echo(f"\nSeed {options.seed}.")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
