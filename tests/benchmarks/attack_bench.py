"""How long hostile answers of the API hold the event loop, and how the time grows with their length.

Exits with 1 if something holds the event loop longer than ``MAX_BLOCK_MILLISECONDS``.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))  # if this file is started as a script

from callers_mcp import CallersClient, Settings
from callers_mcp.api.errors import CallersError
from callers_mcp.campaign.listing import parse_row
from callers_mcp.server.tools.get_campaign import GET_CAMPAIGN
from tests.benchmarks.list_bench import MAX_BLOCK_MILLISECONDS, Round, measured
from tests.support.hostile_json import CAMPAIGNS, LISTS

LIST_BYTES = 16 * 1024 * 1024 - 524_288
CAMPAIGN_BYTES = 1024 * 1024 - 8_192
_LIST_NAMES, _CAMPAIGN_NAMES = list(LISTS), list(CAMPAIGNS)
_CALLERS = 10  # of the same campaign


def _answer(target: str) -> bytes:
    """Return the answer to a request; a shape's number and length are the id of the campaign or the organization."""
    query = parse_qs(urlsplit(target).query)
    if query:
        number, length = map(int, query["organizationId"][0].split("-"))
        return LISTS[_LIST_NAMES[number]](length)
    requested = target.rpartition("/")[2]
    return CAMPAIGNS[_CAMPAIGN_NAMES[int(requested[:12], 16)]](int(requested[12:], 16))


def serve() -> None:
    """Serve the API until stdin is closed; print the port first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                body = _answer((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
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
    with Popen([sys.executable, __file__, "--serve"], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout
        assert process.stdin
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


async def bench(base_url: str, only: str) -> dict[str, tuple[Round, Round]]:
    """Measure each shape whose name contains ``only``, at half of the longest length and at the longest."""
    given: dict[str, Any] = {"api_key": "k" * 32, "base_url": base_url, "timeout": 600, "max_attempts": 1}
    figures: dict[str, tuple[Round, Round]] = {}
    async with CallersClient(Settings(**given, list_cache_seconds=0)) as client:

        async def fetch_list(number: int, length: int) -> None:
            with suppress(CallersError):
                await client.list_campaigns(parse_row, len, sub_organization_id=f"{number}-{length}")

        async def look_up(number: int, length: int, callers: int = 1) -> None:
            call = partial(GET_CAMPAIGN.call, {"campaign_id": f"{number:012x}{length:012x}"}, client)
            with suppress(CallersError):  # what has too many objects and lists is refused
                await asyncio.gather(*[call() for _ in range(callers)])

        await look_up(0, 1_000)  # loads the modules
        half, whole = LIST_BYTES // 2, LIST_BYTES
        for number, name in enumerate(LISTS):
            if only in name:
                figures[f"list: {name}"] = (
                    await measured(partial(fetch_list, number, half)),
                    await measured(partial(fetch_list, number, whole)),
                )
        half, whole = CAMPAIGN_BYTES // 2, CAMPAIGN_BYTES
        for number, name in enumerate(CAMPAIGNS):
            if only in name:
                once = await measured(partial(look_up, number, whole))
                figures[name] = await measured(partial(look_up, number, half)), once
                figures[f"{name}: {_CALLERS} callers instead of one"] = (
                    once,
                    await measured(partial(look_up, number, whole, _CALLERS)),
                )
    return figures


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="only shapes whose names contain this")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    with api() as base_url:
        figures = asyncio.run(bench(base_url, options.only))
    print("| ms | event loop held: n | 2n | total time: n | 2n | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (half, whole) in figures.items():
        cells = f"{half.stretch:.1f} | {whole.stretch:.1f} | {half.took:.0f} | {whole.took:.0f}"
        print(f"| {name} | {cells} | {whole.took / half.took:.1f} |")
    too_long = [name for name, both in figures.items() if max(one.stretch for one in both) > MAX_BLOCK_MILLISECONDS]
    if too_long:
        print(f"\nOver {MAX_BLOCK_MILLISECONDS} ms: {'; '.join(too_long)}", file=sys.stderr)
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
