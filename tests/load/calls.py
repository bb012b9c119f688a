"""Many calls while the API sometimes fails: each is answered with the right campaign, and memory does not grow."""

import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from typing import Any

from tests.load.api import campaign
from tests.load.client import HANDSHAKE, LATEST, Answer, Calls, random_ids, requests
from tests.load.processes import Api, Target
from tests.load.report import Report
from tests.load.settle import until

GROWTH = 0.10
"""How much the memory of the last quarter may differ from the second quarter, as a share."""

POOL = 100
"""Connections to the API that a server may keep by default."""

_FAR = 2  # more descriptors than at the start; not yet a leak
_WARM_UP = 5  # calls of each connection


class Outcomes:
    """The answers, compared with the requests."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.wrong: list[str] = []

    def check(self, campaign_id: str, answer: Answer) -> None:
        """Compare the whole answer with the campaign of this id."""
        try:
            result = json.loads(answer.body)["result"]
            kind = result["_meta"]["callers-mcp/error"]["kind"] if result.get("isError") else "found"
            self.kinds[kind] += 1
            if kind == "found" and not _is_campaign(campaign_id, result):
                self.wrong.append(f"{campaign_id} got another campaign: {answer.body[:200]!r}")
        except (ValueError, KeyError, TypeError):
            self.kinds[f"HTTP {answer.status}"] += 1
            self.wrong.append(f"{campaign_id} got {answer.status}: {answer.body[:200]!r}")


def _is_campaign(campaign_id: str, result: dict[str, Any]) -> bool:
    """Return whether the structured content and both texts belong to this campaign."""
    expected, structured = campaign(campaign_id), result["structuredContent"]
    summary_text, raw_text = (block["text"] for block in result["content"])
    return (
        structured["raw"] == expected == json.loads(raw_text)
        and structured["summary"]["id"] == campaign_id
        and structured["summary"]["name"] == expected["name"]
        and expected["name"] in summary_text
    )


def run(target: Target, api: Api, *, count: int, connections: int, seed: int, growth: float = GROWTH) -> Report:
    """Make ``count`` calls, half of them as each kind of client.

    Args:
        target: The server.
        api: Its API, started with faults.
        count: The number of calls.
        connections: The number of concurrent connections.
        seed: The seed for the ids.
        growth: How much memory may differ, as a share.
    """
    report, outcomes, process = Report(f"{count:,} calls over {connections} connections"), Outcomes(), target.process
    ids, first = random_ids(seed), connections * _WARM_UP
    warm_up = Calls(requests(target, LATEST), itertools.islice(ids, first), lambda *_: None)
    asyncio.run(warm_up.run(target.url, connections))
    descriptors, _ = process.descriptors(api.url)
    failed_before = api.stats()

    memory: list[tuple[int, float]] = []
    halves = [
        Calls(requests(target, version), itertools.islice(ids, count // 2), outcomes.check)
        for version in (LATEST, HANDSHAKE)
    ]

    async def watch() -> None:
        while True:
            memory.append((sum(len(half.seconds) for half in halves), process.memory()))
            await asyncio.sleep(0.1)

    async def call_all() -> None:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(half.run(target.url, connections // 2) for half in halves))
        watching.cancel()

    started = time.perf_counter()
    asyncio.run(call_all())
    took = time.perf_counter() - started
    stats = {name: value - failed_before[name] for name, value in api.stats().items()}
    after, pooled = until(lambda: process.descriptors(api.url), lambda now: now[0] <= descriptors)
    seconds = sorted([*halves[0].seconds, *halves[1].seconds])
    unanswered = [*halves[0].unanswered, *halves[1].unanswered]
    failed = stats["ids_that_failed_last"]
    errors = sum(number for kind, number in outcomes.kinds.items() if kind != "found")
    second, last = (_mean(memory, quarter, count) for quarter in (1, 3))

    growth_seen = last / second - 1 if second else 0.0
    report.title += f" after {first} to warm up, seed {seed}"
    report.figures = {
        "calls answered": f"{len(seconds):,} of {count:,}",
        "answers": ", ".join(f"{kind} {number:,}" for kind, number in outcomes.kinds.most_common()),
        "found, each compared with the campaign of its id": f"{outcomes.kinds['found'] - len(outcomes.wrong):,}",
        "ids for which every request to the API failed": f"{failed}",
        "requests at the API": f"{stats['requests']:,}: {stats['resets']:,} reset, {stats['503']:,} with 503, "
        f"{stats['slow']:,} slow",
        "calls a second; p50, p99": f"{len(seconds) / took:,.0f}; "
        f"{seconds[len(seconds) // 2] * 1000:,.0f} ms, {seconds[len(seconds) * 99 // 100] * 1000:,.0f} ms",
        "memory, mean of the second and the last quarter": f"{second:.1f} MiB, {last:.1f} MiB ({growth_seen:+.1%})",
        "descriptors before and after": f"{descriptors}, {after}; and {pooled} connections to the API kept for later",
    }
    report.require(len(seconds) == count and not unanswered, f"{count - len(seconds)} calls got no answer")
    report.require(not outcomes.wrong, "; ".join(outcomes.wrong[:5]))
    report.require(errors == failed, f"{errors} errors, but the API failed only {failed} ids for good")
    report.require(abs(growth_seen) <= growth, "memory did not stay where it was")
    report.require(after <= descriptors + _FAR, f"{after - descriptors} descriptors more than before")
    report.require(pooled <= POOL, f"{pooled} connections to the API")
    report.require("Traceback" not in process.log(), f"the log has a stack trace: {process.log()[-1500:]}")
    return report


def _mean(memory: list[tuple[int, float]], quarter: int, count: int) -> float:
    """Return the mean of what was sampled while that quarter of the calls was answered."""
    return statistics.fmean(
        [size for done, size in memory if quarter * count <= done * 4 < (quarter + 1) * count] or [0.0]
    )
