"""Malformed messages: none stops the server, gets a 5xx or a stack trace, or prevents the answer to a good call."""

import asyncio
import contextlib
import itertools
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.load.client import HANDSHAKE, LATEST, address, call
from tests.load.grammar import Malformed, malformed
from tests.load.processes import Target
from tests.load.report import Report
from tests.support.constants import ID, PATIENCE

AT_ONCE = 40
_QUIET_SECONDS = 0.3
"""Seconds without an answer until the client closes its side of the connection."""

_STACK = re.compile(
    rb'Traceback|File \\?"[^"]+\.py|errors\.pydantic\.dev|site-packages|line \d+, in |Error\(|Exception\b'
)
_LOGGED = re.compile(
    r"^Traceback.*?^(?=\w)(?P<error>[^\n]*)|^.*never (?:retrieved|awaited).*$", re.MULTILINE | re.DOTALL
)
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_INTERNAL = -32603


@dataclass(frozen=True, slots=True)
class Reaction:
    """The reaction of the server: all bytes, and whether the answer was complete or the connection closed."""

    received: bytes
    ended: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"(?:^|\n|\}|\.)HTTP/1\.[01] (\d{3})", self.received)]

    def problems(self, *, is_whole: bool) -> list[str]:
        found = []
        if any(status >= 500 for status in self.statuses):
            found.append(f"status {max(self.statuses)}")
        if self.received and not self.statuses:
            found.append("an answer that is not HTTP")
        if stack := _STACK.search(self.received):
            found.append(f"{stack[0].decode('latin-1')!r} in the answer")
        if not self.ended:
            found.append("an answer that does not end" if self.received else "neither an answer nor an end")
        elif is_whole and not self.received:
            found.append("no answer")
        if _internal(self.received):
            found.append("an internal error")
        return found


def _internal(received: bytes) -> bool:
    _, _, body = received.partition(b"\r\n\r\n")
    try:
        return bool(json.loads(body)["error"]["code"] in (_INTERNAL, 0))
    except (ValueError, KeyError, TypeError):
        return False


async def send(target: Target, message: Malformed) -> Reaction:
    """Send a message over a new connection, and wait for the reaction of the server."""
    reader, writer = await asyncio.open_connection(*address(target.url))
    received = bytearray()
    ended = False

    async def read(seconds: float) -> bool:
        """Read until the server closes; return whether it did within ``seconds`` of silence."""
        try:
            while True:
                async with asyncio.timeout(seconds):
                    data = await reader.read(65_536)
                if not data:
                    return True
                received.extend(data)
                if _is_whole(bytes(received)):
                    return True
                seconds = PATIENCE  # an answer that has begun must become complete
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    try:
        with contextlib.suppress(ConnectionError):
            writer.write(message.content)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET_SECONDS * 3):
                    await writer.drain()
        ended = await read(PATIENCE if message.is_whole else _QUIET_SECONDS)
        if not ended and not received:
            with contextlib.suppress(OSError):
                writer.write_eof()
            ended = await read(PATIENCE)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
    return Reaction(bytes(received), ended)


def _is_whole(received: bytes) -> bool:
    """Return whether the first answer is complete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(separator) and length is not None and len(body) >= int(length[1])


async def attack(target: Target, *, count: int, seed: int) -> tuple[Report, dict[str, list[str]]]:
    """Send ``count`` messages in concurrent batches; after each batch, a good call must be answered.

    Returns:
        The report, and for each kind of problem the messages that caused it.
    """
    report = Report(f"{count:,} malformed messages, seed {seed}")
    statuses: Counter[str] = Counter()
    caused: dict[str, list[str]] = defaultdict(list)
    messages, good, logged = malformed(target, seed), 0, 0
    while batch := [*itertools.islice(messages, min(AT_ONCE, count - sum(statuses.values())))]:
        for message, reaction in zip(batch, await asyncio.gather(*(send(target, each) for each in batch)), strict=True):
            statuses[str(reaction.statuses[0]) if reaction.statuses else "closed without an answer"] += 1
            for problem in reaction.problems(is_whole=message.is_whole):
                caused[problem].append(f"{message.name} -> {reaction.received[-300:]!r}")
        for version in (LATEST, HANDSHAKE):
            try:
                answer = await call(target, ID, version)
                if answer.status != 200 or ID.encode() not in answer.body:
                    raise ConnectionError(f"{answer.status} {answer.body[:200]!r}")
                good += 1
            except (OSError, TimeoutError) as error:
                caused["a good call fails afterwards"].append(f"{[message.name for message in batch]}: {error}")
        if not target.process.is_alive:
            caused["the process ended"].append(f"{[message.name for message in batch]}")
            break
        log = target.process.log()
        for found in _LOGGED.finditer(log, logged):
            last = _ADDRESS.sub("0x", found["error"] or found[0])[:200]
            caused[f"a stack trace in the log, {last}"].append(f"one of {[message.name for message in batch]}")
        logged = len(log)
    report.figures = {
        "messages": f"{sum(statuses.values()):,}",
        "answers by status": ", ".join(f"{status}: {number:,}" for status, number in sorted(statuses.items())),
        "good calls in between, answered": f"{good:,}",
        "the process": "runs" if target.process.is_alive else "ended",
    }
    report.problems += [f"{kind}: {len(names)} times, first {names[0][:600]}" for kind, names in caused.items()]
    return report, caused


def run(target: Target, *, count: int, seed: int) -> Report:
    """Send the messages, and return the report."""
    return asyncio.run(attack(target, count=count, seed=seed))[0]
