"""An automated workflow: look up many campaigns through the MCP server, and report which need attention.

    python examples/agent_workflow.py --sandbox
    CALLERS_API_KEY=... python examples/agent_workflow.py 665f1c2ab1e4a9d0c7f3b812 665f1c2ab1e4a9d0c7f3b813
    CALLERS_API_KEY=... python examples/agent_workflow.py --file ids.txt

Each line of the file is a campaign's id, followed by its sub-organization's id if it has one. The output is a table.
Exit code: 0 if nothing needs attention, 1 if something does or a look-up failed, 2 if the usage is wrong. If a look-up
failed, a line on stderr says so. The server logs only errors, unless CALLERS_LOG_LEVEL is set.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client

SANDBOX = [f"665f1c2ab1e4a9d0c7f3b80{number}" for number in (1, 2, 3, 4, 5, "6 65aa00112233445566778855")]

Row = tuple[str, str, list[str], list[str]]  # campaign, status, attention, worth checking


async def look_up(client: Client, line: str) -> Row:
    """Look up one campaign. A failed look-up is a row that needs attention."""
    arguments = dict(zip(("campaign_id", "sub_organization_id"), line.split(), strict=False))
    result = await client.call_tool("get_campaign", arguments)
    if result.is_error or result.structured_content is None:
        reason = " ".join(block.text for block in result.content if block.type == "text")
        return line, "failed", [" ".join(reason.split())], []
    summary: dict[str, Any] = result.structured_content["summary"]
    return summary["name"] or line, summary["status"], summary["attention"], summary["worth_checking"]


async def run(lines: list[str], sandbox: bool) -> list[Row]:
    """Start the server, look up all campaigns concurrently, and return a row for each, in the given order."""
    arguments = ["-P", "-m", "callers_mcp", *["--sandbox"] * sandbox]
    environment = {"CALLERS_LOG_LEVEL": "ERROR"} | os.environ
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    rows: dict[int, Row] = {}
    limiter = anyio.CapacityLimiter(8)  # out of respect for the API's rate limit

    async def one(client: Client, number: int) -> None:
        async with limiter:
            rows[number] = await look_up(client, lines[number])

    async with Client(stdio_client(server)) as client, anyio.create_task_group() as tasks:
        for number in range(len(lines)):
            tasks.start_soon(one, client, number)
    return [rows[number] for number in range(len(lines))]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("ids", nargs="*", help="campaign ids")
parser.add_argument("--file", type=Path, help="a file with one campaign id per line")
parser.add_argument("--sandbox", action="store_true", help="use the sample campaigns")
options = parser.parse_args()
try:
    given = options.ids + (options.file.read_text("utf-8").splitlines() if options.file else [])
    lines = [line for line in given if line.strip()] or SANDBOX * options.sandbox
    rows = anyio.run(run, lines, options.sandbox) if lines else parser.error("give campaign ids, --file or --sandbox")
except (OSError, UnicodeError) as error:
    parser.error(str(error))
except Exception as error:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the cause
    sys.exit(f"No campaign was looked up: {' '.join(str(error).split())}")
for campaign, status, attention, worth_checking in rows:
    print(f"{status:<17} {len(attention)} attention, {len(worth_checking)} to check   {campaign}")
    for mark, sentences in (("!", attention), ("?", worth_checking)):
        print("".join(f"{'':<17} {mark} {sentence}\n" for sentence in sentences), end="")
if failed := [attention[0] for _, status, attention, _ in rows if status == "failed"]:
    sys.exit(f"{len(failed)} of {len(rows)} campaigns were not looked up: {failed[0]}")
sys.exit(any(attention for _, _, attention, _ in rows))
