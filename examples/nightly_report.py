"""For cron: look up many campaigns; print as Markdown what changed since the last run and what needs attention.

    CALLERS_API_KEY_FILE=... python examples/nightly_report.py --saved saved.json < ids.txt | mail ops@example.com

Or use --sandbox. A line of ids.txt is a campaign's id, and its sub-organization's id if it has one. A failed look-up is
reported, keeps its saved result, and gives exit code 1. To use a real model, give it this output and the server.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client

from callers_mcp import files
from callers_mcp.sanitize import truncate

SANDBOX = [f"665f1c2ab1e4a9d0c7f3b80{number}" for number in range(1, 6)]


async def look_up(lines: list[str], sandbox: bool) -> dict[str, Any]:
    """Return the result for each line, or the reason of a failure."""
    env = {"CALLERS_REDACT_URLS": "on", "CALLERS_LOG_LEVEL": "ERROR"} | os.environ  # webhook URLs may contain secrets
    answers: dict[str, Any] = {line: {} for line in lines}
    limiter = anyio.CapacityLimiter(8)  # out of respect for the API's rate limit

    async def one(line: str) -> None:
        campaign = dict(zip(("campaign_id", "sub_organization_id"), line.split(), strict=False))
        async with limiter:
            result = await client.call_tool("get_campaign", campaign)
        why = {"failed": " ".join(block.text for block in result.content if block.type == "text")}
        answers[line] = why if result.is_error else result.structured_content or why

    arguments = ["-P", "-m", "callers_mcp", *["--sandbox"] * sandbox]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=env)
    async with Client(stdio_client(server)) as client, anyio.create_task_group() as tasks:
        for line in answers:
            tasks.start_soon(one, line)
    return answers


def code(value: Any) -> str:
    """Return text written by other people as a Markdown code span that it cannot close."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    return f"`{truncate(text, 300).replace('`', chr(39)) or ' '}`"


def report(answers: dict[str, Any], saved: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    changed, attention = list[str](), list[str]()
    failed = [f"- {code(line)}: {code(answer['failed'])}" for line, answer in answers.items() if "failed" in answer]
    for line in [line for line in answers if "failed" not in answers[line]]:
        summary, new = answers[line]["summary"], answers[line]["raw"]
        title = f"- {code(summary['name'] or line)}, {summary['status']}:"
        attention += [f"{title} {code(each)}" for each in summary["attention"]]
        changed += [] if line in saved else [f"{title} new in this report"]
        old = saved[line]["raw"] if line in saved else new
        fields = [field for field in {**new, **old} if old.get(field) != new.get(field)]
        changed += [f"{title} {code(each)} was {code(old.get(each))}, is {code(new.get(each))}" for each in fields]
    parts = {"Changed": changed, "Needs attention": attention, "Not looked up": failed}
    return "\n\n".join("\n".join([f"## {part}\n", *(lines or ["Nothing."])]) for part, lines in parts.items())


parser = argparse.ArgumentParser(description="Report on many campaigns; see the top of this file.")
parser.add_argument("--saved", type=Path, required=True, help="the file with the last results; created if missing")
parser.add_argument("--sandbox", action="store_true", help="use the sample campaigns")
options = parser.parse_args()
ids = SANDBOX if options.sandbox else [line for line in sys.stdin.read().splitlines() if line.strip()]
try:
    saved = json.loads(files.read(options.saved) or b"{}")
    before = {line: {"raw": dict(answer["raw"])} for line, answer in saved.items()}
except Exception as error:
    parser.error(f"{options.saved} is not a file of saved results: {getattr(error, 'strerror', 'name another file')}")
if not ids:
    parser.error("give a campaign's id in each line of stdin")
try:
    today = anyio.run(look_up, ids, options.sandbox)
    print(report(today, before))
    known = {line: {"raw": answer["raw"]} for line, answer in today.items() if "failed" not in answer}
    files.write(options.saved, json.dumps(before | known).encode())
except Exception as error:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the cause
    sys.exit(f"{options.saved} was not saved: {getattr(error, 'strerror', None) or ' '.join(str(error).split())}")
if len(known) < len(today):
    sys.exit(f"{len(today) - len(known)} of {len(today)} campaigns were not looked up; the report says why.")
