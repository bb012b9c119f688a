"""Searches through 25,000 names of 120 characters, made to be slow: their cost, and how soon they stop.

    python tests/benchmarks/search_bench.py [--count 25000]

For each shape of names and query: the processor time of the search, the memory that it needs beyond the rows, the
longest processor time for which the event loop is blocked meanwhile, and how long a search runs on after its caller
left. The exit code is 1 if a figure is over its limit.
"""

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import anyio
import anyio.lowlevel

sys.path.insert(0, str(Path(__file__).parents[2]))  # if this file is started as a script

from callers_mcp.api.lists import Rows
from callers_mcp.campaign.listing import CampaignRow
from callers_mcp.campaign.matching import fold
from callers_mcp.campaign.search import search_page
from callers_mcp.server.tools.find_campaigns import FindCampaignsInput

LIMITS = {
    "processor time, ms": 1_000.0,
    "memory, MiB": 64.0,
    "loop blocked, ms": 100.0,
    "after its caller left, ms": 200.0,
}

LATIN = "abcdefghijklmnopqrstuvwxyz"
CHINESE = "".join(chr(0x4E00 + number) for number in range(3_000))
FEW = "\u4e0a\u6d77\u4e0b"
THAI = "".join(chr(0x0E01 + number) for number in range(40))
ARABIC = "".join(chr(0x0627 + number) for number in range(30))


def words(alphabet: str, letters: int, total: int = 120) -> Callable[[Random, int], str]:
    """Return a function that makes a text of words with so many letters."""
    return lambda random, _: " ".join("".join(random.choices(alphabet, k=letters)) for _ in range(total // letters))


SHAPES: dict[str, tuple[Callable[[Random, int], str], Callable[[Random, int], str]]] = {
    "words of five letters": (words(LATIN, 5), words(LATIN, 9)),
    "short words": (words(LATIN, 2), words(LATIN, 4)),
    "single letters": (words(LATIN, 1), words(LATIN, 1)),
    "Arabic": (words(ARABIC, 5), words(ARABIC, 9)),
    "Chinese": (words(CHINESE, 120), words(CHINESE, 9)),
    "Chinese, one long word": (words(CHINESE, 120), words(CHINESE, 120)),
    "few Chinese characters": (words(FEW, 120), words(FEW, 9)),
    "Thai": (words(THAI, 120), words(THAI, 9)),
    "the same character": (
        lambda _, number: "\u4e0a" * 100 + f" {number}",
        lambda *_: " ".join("\u4e0a" * letters + "\u4e0b" for letters in range(3, 15)),
    ),
    "the same letters": (lambda *_: "a " * 60, lambda *_: " ".join(f"aa{x}{y}" for x in "abc" for y in "abcd")),
    "similar words": (
        lambda *_: " ".join(f"aaaa{letter}" for letter in LATIN),
        lambda *_: " ".join(f"aaa{letter}aab" for letter in LATIN),
    ),
    "one long word": (lambda *_: "b" + "a" * 119, lambda *_: "aaa"),
    "every name matches": (lambda *_: "a" * 119, lambda *_: "a"),
    "digits": (words("12", 3), words("12", 2)),
}


async def measure(rows: list[CampaignRow], query: str) -> dict[str, float]:
    """Return the figures of one search."""
    criteria = FindCampaignsInput(query=query[:200], group=None)
    run = partial(search_page, Rows(rows), criteria, "", None)
    blocked, done = 0.0, False

    async def take_turns() -> None:
        nonlocal blocked
        while not done:
            last = time.process_time()  # does not depend on the load of the machine
            await anyio.lowlevel.checkpoint()
            blocked = max(blocked, time.process_time() - last)

    gc.collect()
    started = time.process_time()
    run()
    processor = time.process_time() - started
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        await anyio.to_thread.run_sync(run)
        done = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, run)
        await anyio.sleep(processor / 2)
        left = time.perf_counter()
        tasks.cancel_scope.cancel()
    stopped = time.perf_counter() - left
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return dict(zip(LIMITS, (processor * 1000, peak / 2**20, blocked * 1000, stopped * 1000), strict=True))


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=25_000, help="names in the list")
    count = parser.parse_args().count
    print(f"| {' | '.join(['names', *LIMITS])} |\n| --- |{' --- |' * len(LIMITS)}")
    over = []
    for shape, (make_name, make_query) in SHAPES.items():
        random = Random(1)
        names = [fold(make_name(random, number)[:120]) for number in range(count)]
        rows = [
            CampaignRow(f"{number:024x}", name, name, "running", None, None, None, "", False)
            for number, name in enumerate(names)
        ]
        figures = anyio.run(measure, rows, make_query(random, 0))
        print(f"| {shape} | {' | '.join(f'{figure:.0f}' for figure in figures.values())} |", flush=True)
        over += [f"{shape}: {name}" for name, figure in figures.items() if figure > LIMITS[name]]
    if over:
        print(f"\nOver the limit: {'; '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
