"""What the drivers of Python clients share: the server to connect to, and how the checks are run.

A driver is a script. Its argument is a JSON object: ``command``, ``args`` and ``env`` of a server over stdio, or
``url`` and ``headers`` of a hosted one; the ids of campaigns; ``control``, the URL at which it learns what the API has
seen. It prints a JSON object: for each check ``true``, the reason of a failure, or ``null`` if the client has no such
feature.
"""

import asyncio
import json
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

SERVER: dict[str, Any] = json.loads(sys.argv[1])
STDIO = "command" in SERVER
ID, RETRIED, HELD = (SERVER[name] for name in ("id", "retried", "held"))
URI = f"callers://campaigns/{ID}"
PROMPT, PROMPT_ARGUMENTS = "review_campaign", {"campaign": ID}
NAME = SERVER["name"]

Check = Callable[[], Awaitable[object]] | None


def expect(found: object, where: object) -> None:
    """Fail unless the text ``found`` is in the text of ``where``."""
    assert str(found) in str(where), f"no {found} in {str(where)[:300]}"


async def control(path: str) -> Any:
    """Wait until the API has seen something: a request for the held campaign, or its end."""
    url = f"{SERVER['control']}/{path}"
    return await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(url)))  # noqa: S310


async def cancelled(call: Awaitable[object], next_call: Callable[[], Awaitable[object]]) -> None:
    """Cancel a call of the held campaign; check that its look-up ends before the connection does."""
    task = asyncio.ensure_future(call)
    await control("arrived")
    task.cancel()
    await asyncio.wait([task])
    await next_call()  # the server reads messages in order, so by now it has read the cancellation
    assert await control("abandoned"), "the look-up went on"


def checks_of(client: Any, call: Callable[[str], Awaitable[Any]]) -> dict[str, Check]:
    """Return the checks, with those that are the same for clients with the methods of the MCP SDK's client.

    Args:
        client: Has ``list_prompts``, ``get_prompt`` and ``read_resource``.
        call: Calls ``get_campaign`` with an id; the result has ``content`` and ``structured_content``.
    """

    async def calls() -> None:
        expect(NAME, (await call(ID)).content)

    async def structured() -> None:
        expect(NAME, (await call(ID)).structured_content["summary"])

    async def prompts() -> None:
        expect(PROMPT, await client.list_prompts())
        expect(NAME, await client.get_prompt(PROMPT, PROMPT_ARGUMENTS))

    async def resources() -> None:
        expect(NAME, await client.read_resource(URI))

    async def cancellation() -> None:
        await cancelled(call(HELD), lambda: call(ID))

    checks: dict[str, Check] = {"tools": None, "calls": calls, "structured": structured, "prompts": prompts}
    checks |= {"resources": resources, "completion": None, "progress": None, "cancellation": cancellation}
    return checks


async def run(checks: Mapping[str, Check]) -> None:
    """Run the checks in order."""
    results: dict[str, object] = {"connects": True}
    for name, check in checks.items():
        try:
            results[name] = None if check is None else (await asyncio.wait_for(check(), 60), True)[1]
        except (Exception, ExceptionGroup) as error:
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            results[name] = f"{type(error).__name__}: {error}"[:400]
    print(json.dumps(results), flush=True)  # noqa: T201
