"""An automated workflow: look up many campaigns through the MCP server, and report which need attention.

    python examples/agent_workflow.py --sandbox
    CALLERS_API_KEY=... python examples/agent_workflow.py 665f1c2ab1e4a9d0c7f3b812 665f1c2ab1e4a9d0c7f3b813
    CALLERS_API_KEY=... python examples/agent_workflow.py --file ids.txt

Each line of the file is a campaign's id, followed by its sub-organization's id if it has one. The output is a table.
Exit code: 0 if nothing needs attention, 1 if something does or a look-up failed, 2 if the usage is wrong.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import TextContent

SANDBOX = [f"665f1c2ab1e4a9d0c7f3b80{number}" for number in (1, 2, 3, 4, 5, "6 65aa00112233445566778855")]

Row = tuple[str, str, list[str], list[str]]  # campaign, status, attention, worth checking


async def look_up(client: Client, line: str) -> Row:
    """Look up one campaign. A failed look-up is a row that needs attention."""
    campaign_id, *place = line.split()
    arguments = {"campaign_id": campaign_id} | ({"sub_organization_id": place[0]} if place else {})
    result = await client.call_tool("get_campaign", arguments)
    if result.is_error or result.structured_content is None:
        reason = " ".join(block.text for block in result.content if isinstance(block, TextContent))
        return campaign_id, "failed", [reason], []
    summary: dict[str, Any] = result.structured_content["summary"]
    return summary["name"] or campaign_id, summary["status"], summary["attention"], summary["worth_checking"]


async def run(lines: list[str], sandbox: bool) -> list[Row]:
    """Start the server, look up all campaigns concurrently, and return a row for each, in the given order."""
    arguments = ["-P", "-m", "callers_mcp", *(["--sandbox"] if sandbox else [])]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    rows: dict[int, Row] = {}
    limiter = anyio.CapacityLimiter(8)  # out of respect for the API's rate limit

    async def one(client: Client, number: int) -> None:
        async with limiter:
            rows[number] = await look_up(client, lines[number])

    async with Client(stdio_client(server)) as client, anyio.create_task_group() as tasks:
        for number in range(len(lines)):
            tasks.start_soon(one, client, number)
    return [rows[number] for number in range(len(lines))]


def table(rows: Iterable[Row]) -> str:
    """Return the rows as aligned text, with a line for each problem and each hint."""
    lines = []
    for campaign, status, attention, worth_checking in rows:
        lines += [f"{status:<17} {len(attention)} attention, {len(worth_checking)} to check   {campaign}"]
        lines += [f"{'':<17} ! {sentence}" for sentence in attention]
        lines += [f"{'':<17} ? {sentence}" for sentence in worth_checking]
    return "\n".join(lines)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("ids", nargs="*", help="campaign ids")
parser.add_argument("--file", type=Path, help="a file with one campaign id per line")
parser.add_argument("--sandbox", action="store_true", help="use the sample campaigns")
options = parser.parse_args()
try:
    lines = options.ids + (options.file.read_text().splitlines() if options.file else [])
except OSError as error:
    parser.error(f"{options.file}: {error.strerror}")
ids = [line for line in lines if line.strip()] or (SANDBOX if options.sandbox else [])
if not ids:
    parser.error("give campaign ids, --file or --sandbox")
print(table(rows := anyio.run(run, ids, options.sandbox)))
sys.exit(any(attention for _, _, attention, _ in rows))
