"""Compare callers-mcp with a bare SDK server over Streamable HTTP: calls a second and latency, as ratios in one run.

    python tests/benchmarks/http_bench.py [--rounds 5] [--seconds 2] [--connections 100]

callers-mcp requires a token and writes an audit log; the bare server accepts any caller. Each round starts both, with
the same simulated API, and this process calls them in turn over open connections. Then it measures how many requests
identical look-ups cause at the API. It needs Linux, because it reads ``/proc``.
"""

import argparse
import asyncio
import itertools
import os
import shlex
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # if this file is started as a script

from tests.load.client import HANDSHAKE, LATEST, Answer, Calls, random_ids, requests
from tests.load.loop import run
from tests.load.processes import BARE, OURS, Api, Target, raise_descriptor_limit, serve

LIMITS = {"calls a second": ("at least", 0.95), "p99, ms": ("at most", 1.15)}
Figures = dict[str, float]


@dataclass
class Rounds:
    """The figures of each server in each round."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, server: str, figures: Figures) -> None:
        for name, value in figures.items():
            self.figures[server][name].append(value)

    def table(self, mine: str, other: str, limits: dict[str, tuple[str, float]]) -> Iterator[str]:
        """Yield the lines of a table: medians, and the median of the ratios of consecutive turns."""
        yield f"| median of {len(next(iter(self.figures[mine].values())))} turns | {mine} | {other} | ratio | limit |"
        yield "| --- | --- | --- | --- | --- |"
        for name, values in self.figures[mine].items():
            against = self.figures[other][name]
            ratios = [one / two for one, two in zip(values, against, strict=True) if two] or [0.0]
            yield (
                f"| {name} | {statistics.median(values):,.2f} | {statistics.median(against):,.2f} "
                f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                f"| {' '.join(map(str, limits.get(name, ())))} |"
            )


async def drive(target: Target, version: str, seconds: float, connections: int) -> Figures:
    """Call for ``seconds``, one call at a time on each connection; return the figures."""
    wrong: list[Answer] = []
    ends = float("inf")

    def check(campaign_id: str, answer: Answer) -> None:
        if answer.status != 200 or campaign_id.encode() not in answer.body:
            wrong.append(answer)

    ids = itertools.takewhile(lambda _: time.perf_counter() < ends, random_ids(os.getpid()))
    calls = Calls(requests(target, version), ids, check)
    running = asyncio.create_task(calls.run(target.url, connections))
    await asyncio.sleep(seconds / 3)  # warms up
    calls.seconds.clear()
    spent, started = target.process.processor_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    while not calls.seconds and not running.done():  # noqa: ASYNC110 (on a busy machine)
        await asyncio.sleep(0.01)
    count, took = len(calls.seconds), time.perf_counter() - started
    spent = target.process.processor_seconds() - spent
    ordered = sorted(calls.seconds)
    ends = 0.0
    await running
    if wrong or calls.unanswered:
        raise SystemExit(f"{len(wrong)} wrong answers, {len(calls.unanswered)} lost: {wrong[:1]}")
    return {
        "calls a second": count / took,
        "p50, ms": ordered[count // 2] * 1000,
        "p99, ms": ordered[count * 99 // 100] * 1000,
        "server's processor time a call, ms": spent / count * 1000,
    }


async def identical(target: Target, count: int) -> None:
    """Request one campaign over ``count`` connections at the same time."""
    calls = Calls(requests(target, LATEST), itertools.repeat("6" * 24, count), lambda campaign_id, answer: None)
    await calls.run(target.url, count)
    assert len(calls.seconds) == count


def take_turns(figures: Rounds, servers: dict[str, Target], version: str, options: argparse.Namespace) -> None:
    """Measure the servers one after the other, several times, so that other load on the machine affects all of them."""
    for turn in range(options.turns):
        for name in sorted(servers, reverse=turn % 2 == 1):
            figures.add(name, run(drive(servers[name], version, options.seconds, options.connections)))


def compare(options: argparse.Namespace) -> None:
    """Print what ours does beside the bare server, for each kind of client."""
    rounds = {version: Rounds() for version in (LATEST, HANDSHAKE)}
    for _ in range(options.rounds):
        with (
            Api() as api,
            serve(options.server, api) as ours,
            serve(options.bare, api, callers=0) as bare,
        ):
            for version, figures in rounds.items():
                take_turns(figures, {"callers-mcp": ours, "bare SDK server": bare}, version, options)
    for version, figures in rounds.items():
        print(f"\nClients of {version}, {options.connections} connections, ours with a token:\n")
        print(*figures.table("callers-mcp", "bare SDK server", LIMITS), sep="\n")


def share(options: argparse.Namespace) -> None:
    """Print how many requests the API gets when the same look-up is made many times at once."""
    print(f"\n{options.connections} identical look-ups in flight, the API takes 0.5 s; requests that it saw:\n")
    for name, command in (("callers-mcp", options.server), ("bare SDK server", options.bare)):
        with Api(latency=0.5) as api, serve(command, api, callers=int(name == "callers-mcp")) as target:
            run(identical(target, options.connections))
            print(f"| {name} | {api.stats()['requests']} |")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=[], help="compare, share; both if none is given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=3, help="of each server, a round")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each turn takes")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--server", type=shlex.split, default=OURS, help="the command that starts ours")
    parser.add_argument("--bare", type=shlex.split, default=BARE, help="the command that starts the other")
    options = parser.parse_args()
    raise_descriptor_limit()
    parts = {"compare": compare, "share": share}
    for name in options.parts or parts:
        parts[name](options)


if __name__ == "__main__":
    main()
