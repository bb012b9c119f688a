"""Lists of 5,000 campaigns: how long other callers are blocked, and how long fetching and searching take.

    python tests/benchmarks/list_bench.py [--rounds 7]

A simulated API in a separate process serves the lists. In this process, a task that only yields represents the other
callers: they are blocked for the longest time between two of its turns. The output has medians over the rounds and
maxima, and the processor time of the block, which does not depend on other load. The exit code is 1 if the median block
is over 100 ms for 5,000 campaigns.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))  # if this file is started as a script

from mcp_types import PromptReference

from callers_mcp import CallersClient, Settings
from callers_mcp.campaign.listing import parse_row
from callers_mcp.server.completion import complete
from callers_mcp.server.tools.find_campaigns import FIND_CAMPAIGNS
from tests.benchmarks.bench import CAMPAIGN

MAX_BLOCK_MILLISECONDS = 100
COUNT = 5_000
LARGEST = 16 * 1024 * 1024
LARGE = "large-{}"
"""An organization with as many campaigns as fit into the size limit; all others have ``COUNT``."""

_WORDS = (
    *("spring", "autumn", "renewal", "follow-up", "Zürich", "Kraków", "reminder", "win-back", "survey"),
    *("Überprüfung", "café", "東京", "debt", "welcome"),
)
# In the names of figures without a limit: it is for 5,000 campaigns, and one round is not enough for a verdict.
_FOR_INFORMATION = ("16 MiB", "first in the process")


@dataclass
class Round:
    """The figures of one round, in milliseconds.

    Attributes:
        stretch: The longest time between two turns of the other task.
        processor: The longest processor time between two turns.
        took: The total time.
    """

    stretch: float = 0.0
    processor: float = 0.0
    took: float = 0.0


@dataclass
class Results:
    """The rounds of each figure."""

    rounds: dict[str, list[Round]] = field(default_factory=lambda: defaultdict(list))

    def table(self) -> Iterator[str]:
        yield "| median (maximum), ms | others are blocked | processor time of it | total time |"
        yield "| --- | --- | --- | --- |"
        for name, rounds in self.rounds.items():
            cells = [_cell([getattr(one, figure) for one in rounds]) for figure in ("stretch", "processor", "took")]
            yield f"| {name} | {' | '.join(cells)} |"

    def too_long(self) -> list[str]:
        """Return the names of the figures whose median stretch is over the limit."""
        return [
            name
            for name, rounds in self.rounds.items()
            if not any(words in name for words in _FOR_INFORMATION)
            and statistics.median(one.stretch for one in rounds) > MAX_BLOCK_MILLISECONDS
        ]


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({max(values):.1f})"


def campaign(number: int) -> bytes:
    """Return a campaign of about 1.2 KB, as JSON."""
    words = [_WORDS[number * step % len(_WORDS)] for step in (1, 5, 11)]
    group = number % 40
    made = CAMPAIGN | {
        "id": f"{number * 2_654_435_761 % 2**96:024x}",
        "name": f"{' '.join(words)} {number}".capitalize(),
        "campaignGroupId": f"65bb00112233445566{group:06x}",
        "campaignGroupName": f"{_WORDS[group % len(_WORDS)]} group {group}",
        "active": number % 3 > 0,
        "variables": [f"custom_{index:02d}" for index in range(40)],
    }
    return json.dumps(made, ensure_ascii=False).encode()


def listed(*, large: bool) -> bytes:
    elements: list[bytes] = []
    size, number = 1, 0
    while number < COUNT or large:
        elements.append(campaign(number))
        size, number = size + len(elements[-1]) + 1, number + 1
        if size > LARGEST:
            elements.pop()
            break
    return b"[" + b",".join(elements) + b"]"


def serve() -> None:
    """Serve the API until stdin is closed; print the port first."""
    answers = {
        large: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for large in (False, True)
        if (body := listed(large=large))
    }

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                (place,) = parse_qs(urlsplit(target).query)["organizationId"]
                writer.write(answers[place.startswith(LARGE.format(""))])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(main())


@contextmanager
def api() -> Iterator[str]:
    """Run the API in a separate process; yield its base URL."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        assert process.stdin
        process.stdin.close()


async def measured(work: Callable[[], Awaitable[object]]) -> Round:
    """Run ``work`` while another task takes turns, and return the figures."""
    found = Round()
    done = False

    async def take_turns() -> None:
        last, worked = time.perf_counter(), time.process_time()
        while not done:
            await asyncio.sleep(0)
            now, now_worked = time.perf_counter(), time.process_time()
            found.stretch = max(found.stretch, (now - last) * 1000)
            found.processor = max(found.processor, (now_worked - worked) * 1000)
            last, worked = now, now_worked

    gc.collect()
    others = asyncio.create_task(take_turns())
    await asyncio.sleep(0)
    started = time.perf_counter()
    await work()
    found.took = (time.perf_counter() - started) * 1000
    done = True
    await others
    return found


async def bench(base_url: str, rounds: int) -> Results:
    """Measure each figure once per round. Each round has a new client, whose cache is empty."""
    results = Results()
    searches: dict[str, dict[str, Any]] = {
        "search: no query": {},
        "search: a word": {"query": "spring"},
        "search: one letter": {"query": "s"},
        "search: misspelt": {"query": "sprnig"},
        "search: misspelt, and no name has both": {"query": "renewel sprnig"},
        "search: no such name": {"query": "qqqq wwww xxxx yyyy zzzz"},
        "search: misspelt, without spaces": {"query": "東京都更新案内"},
        "search: 200 characters": {"query": ("überprufng krakwo " * 12)[:200]},
    }
    reference = PromptReference(type="ref/prompt", name="review_campaign")
    given: dict[str, Any] = {"api_key": "k" * 32, "base_url": base_url, "timeout": 600, "max_attempts": 1}
    settings = Settings(**given, list_cache_seconds=3600)
    for number in range(rounds + 1):
        prefix = "first in the process: " if number == 0 else ""
        async with CallersClient(settings) as client:

            def fetch(place: str, client: CallersClient = client) -> Awaitable[object]:
                return client.list_campaigns(parse_row, len, sub_organization_id=place)

            def four(pattern: str, fetch: Callable[[str], Awaitable[object]] = fetch) -> Awaitable[object]:
                return asyncio.gather(*[fetch(pattern.format(each)) for each in range(4)])

            results.rounds[f"{prefix}list of {COUNT:,}"].append(await measured(partial(fetch, "one")))
            if number == 0:  # only to load the modules
                continue
            results.rounds["the same, from the cache"].append(await measured(partial(fetch, "one")))
            for name, arguments in searches.items():
                call = partial(FIND_CAMPAIGNS.call, {**arguments, "sub_organization_id": "one"}, client)
                results.rounds[name].append(await measured(call))
            for typed in ("", "spring"):
                type_it = partial(complete, reference, "campaign", typed, {"sub_organization_id": "one"}, client)
                results.rounds[f'completion of "{typed}"'].append(await measured(type_it))
            results.rounds[f"four lists of {COUNT:,} at once"].append(await measured(partial(four, "place-{}")))
            results.rounds["list of 16 MiB"].append(await measured(partial(fetch, LARGE.format("one"))))
            results.rounds["four lists of 16 MiB at once"].append(await measured(partial(four, LARGE)))
    return results


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    with api() as base_url:
        results = asyncio.run(bench(base_url, max(1, options.rounds)))
    print("\n".join(results.table()))
    too_long = results.too_long()
    if too_long:
        print(f"\nOver {MAX_BLOCK_MILLISECONDS} ms: {'; '.join(too_long)}", file=sys.stderr)
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
