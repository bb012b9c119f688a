"""One caller floods the server, and another one still gets all answers, and soon."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.load.api import HELD
from tests.load.calls import Outcomes
from tests.load.client import HANDSHAKE, LATEST, Answer, Calls, Make, random_ids, requests
from tests.load.processes import Target
from tests.load.report import Report

CONNECTIONS = 230
"""Of the caller who floods; more than the server has places for all callers."""

SLOWEST_SECONDS = 5.0
"""No call of the other caller may take longer, even while the API does not answer the one who floods."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the other caller saw: the seconds of each call in ascending order, and what was wrong with the answers.

    Attributes:
        flood: How many answers of each HTTP status the caller who floods got in a second.
    """

    seconds: list[float]
    problems: list[str]
    flood: dict[int, float]

    @property
    def p95(self) -> float:
        return self.seconds[len(self.seconds) * 95 // 100]

    @property
    def slowest(self) -> float:
        return self.seconds[-1]


def run(target: Target, *, count: int, seed: int) -> Report:
    """Let one caller flood the server in several ways, while another one makes ``count`` calls, one after the other.

    Args:
        target: The server, with two callers: the first one floods.
        count: The number of calls of the other caller in each flood.
        seed: The seed for the ids.
    """
    report = Report(f"One caller floods over {CONNECTIONS} connections, another one calls {count} times, seed {seed}")
    other, ids = target.of_caller(1), random_ids(seed + 1)
    idle = asyncio.run(_call(other, itertools.islice(ids, count)))
    report.require(not idle.problems, f"without a flood: {idle.problems[:3]}")
    limit = 2 * idle.p95 + 0.1
    report.figures["p95 of the other caller without a flood"] = f"{idle.p95 * 1000:.0f} ms"
    for name, (make, flood_ids) in _floods(target, seed).items():
        seen = asyncio.run(_call_during_flood(target, make, flood_ids, other, itertools.islice(ids, count)))
        report.figures[f"{name}: p95 and slowest of the other caller"] = (
            f"{seen.p95 * 1000:.0f} ms, {seen.slowest * 1000:.0f} ms"
        )
        report.figures[f"{name}: answers a second to the one who floods"] = ", ".join(
            f"{status}: {number:,.0f}" for status, number in sorted(seen.flood.items())
        )
        report.require(not seen.problems, f"{name}: {seen.problems[:3]}")
        report.require(seen.p95 <= limit, f"{name}: the p95 is above {limit * 1000:.0f} ms")
        report.require(seen.slowest < SLOWEST_SECONDS, f"{name}: one call took {seen.slowest:.1f} s")
    report.require("Traceback" not in target.process.log(), "the log has a stack trace")
    return report


def _floods(target: Target, seed: int) -> dict[str, tuple[Make, Iterator[str]]]:
    held = (HELD + campaign_id[len(HELD) :] for campaign_id in random_ids(seed))
    campaigns = requests(target, HANDSHAKE)
    lists = requests(target, HANDSHAKE, "find_campaigns", "group")
    return {
        "get_campaign": (campaigns, random_ids(seed)),
        "get_campaign, while the API does not answer": (campaigns, held),
        "find_campaigns of invented groups": (lists, random_ids(seed)),
        "find_campaigns, while the API does not answer": (lists, held),
    }


async def _call(other: Target, ids: Iterator[str]) -> Seen:
    outcomes = Outcomes()
    calls = Calls(requests(other, LATEST), ids, outcomes.check)
    await calls.run(other.url, 1)
    problems = [*outcomes.wrong, *(f"{number} {kind}" for kind, number in outcomes.kinds.items() if kind != "found")]
    problems += [f"{campaign_id} got no answer" for campaign_id in calls.unanswered]
    return Seen(sorted(calls.seconds) or [float("inf")], problems, {})


async def _call_during_flood(
    target: Target, make: Make, flood_ids: Iterator[str], other: Target, ids: Iterator[str]
) -> Seen:
    statuses: Counter[int] = Counter()
    has_answer = asyncio.Event()

    def count(_: str, answer: Answer) -> None:
        statuses[answer.status] += 1
        has_answer.set()

    flood = Calls(make, flood_ids, count)
    flooding = asyncio.create_task(flood.run(target.url, CONNECTIONS))
    await has_answer.wait()
    started = time.perf_counter()
    seen = await _call(other, ids)
    took = time.perf_counter() - started
    flood.abort()
    await flooding
    seen.flood.update({status: number / took for status, number in statuses.items()})
    return seen
