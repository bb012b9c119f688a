"""Checks if an answer is right, by exact rules: phrases, a local time, and the calls that the model made.

It also finds what is not part of an answer: the model's thoughts, and a call that the model wrote as text.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.evals.questions import ANY, Call, Expect

MINUTES = 10
"""How many minutes a local time may differ, because the model needs time before the answer is checked."""

_DAY_MINUTES = 24 * 60
_plain_characters = str.maketrans("’‘“”‐‑‒–—−_", "''\"\"------ ")
_time = re.compile(r"(?<!\d)([01]?\d|2[0-3])[:.]([0-5]\d)(?::\d\d)? ?(?:([ap])\.? ?m\b)?")
_call_marks = re.compile(r"<tool_call>|\[TOOL_CALLS\]|<function=|<\|(?:python_tag|tool_call)")
_call_object = re.compile(r'"(?:arguments|parameters)"\s*:')


@dataclass(frozen=True, slots=True)
class Made:
    """A call that a model made. ``arguments`` is None if they were not a JSON object."""

    tool: str
    arguments: Mapping[str, Any] | None


def problems(expect: Expect, answer: str, calls: Sequence[Made], now: datetime) -> list[str]:
    """Return the problems of an answer, one sentence each; an empty list if the answer is right."""
    text = plain(answer)
    found = [f"no call {_shown(call)}" for call in expect.calls if not any(_matches(call, made) for made in calls)]
    found += [f"called {_shown(call)}" for call in expect.never_calls if any(_matches(call, made) for made in calls)]
    if expect.max_calls is not None and len(calls) > expect.max_calls:
        found.append(f"{len(calls)} calls, more than {expect.max_calls}")
    for wanted in expect.answer_has:
        phrases = [wanted] if isinstance(wanted, str) else wanted
        if not any(has(text, phrase) for phrase in phrases):
            found.append(f"the answer lacks {' or '.join(map(repr, phrases[:3]))}")
    found += [f"the answer has {phrase!r}" for phrase in expect.answer_lacks if has(text, phrase)]
    if expect.local_time and not has_time(text, now.astimezone(ZoneInfo(expect.local_time))):
        found.append(f"the answer lacks the time in {expect.local_time}")
    return found


def without_thoughts(text: str) -> str:
    """Return ``text`` without its ``<think>`` blocks. The first may lack its start tag, and the last its end tag."""
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    return re.sub(r"\A.*</think>|<think>.*", "", text, flags=re.DOTALL).strip()


def has_call(text: str, tools: Iterable[str]) -> bool:
    """Return whether ``text`` has a call of one of the tools, in a form that models write when they call it wrongly."""
    names = "|".join(map(re.escape, tools)) or "(?!)"
    return bool(
        _call_marks.search(text)
        or re.search(rf"(?<!\w)(?:{names})\(", text)
        or (re.search(rf'"name"\s*:\s*"(?:{names})"', text) and _call_object.search(text))
    )


def plain(text: str) -> str:
    """Return ``text`` without case, emphasis, kinds of dashes and quotes, and commas in numbers."""
    text = unicodedata.normalize("NFKC", text).translate(_plain_characters).casefold()
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", re.sub(r"[*`]", "", text))
    return " ".join(text.split())


def has(text: str, phrase: str) -> bool:
    """Return whether the plain ``text`` has the phrase; Latin letters and digits must be whole words."""
    phrase = plain(phrase)
    before = r"(?<![0-9a-z])" if re.match("[0-9a-z]", phrase) else ""
    after = r"(?![0-9a-z])" if re.search("[0-9a-z]$", phrase) else ""
    return re.search(f"{before}{re.escape(phrase)}{after}", text) is not None


def has_time(text: str, local: datetime) -> bool:
    """Return whether a time in the plain ``text`` is close to ``local``, with or without am and pm."""
    for hour, minute, half in _time.findall(text):
        hours = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
        difference = (hours * 60 + int(minute) - local.hour * 60 - local.minute) % _DAY_MINUTES
        if min(difference, _DAY_MINUTES - difference) <= MINUTES:
            return True
    return False


def _matches(wanted: Call, made: Made) -> bool:
    given = {_argument(name): value for name, value in (made.arguments or {}).items()}
    return made.tool == wanted.tool and all(
        given.get(name) not in (None, "") and (value == ANY or plain(str(given[name])) == plain(str(value)))
        for name, value in ((_argument(name), value) for name, value in wanted.arguments.items())
    )


def _argument(name: str) -> str:
    """Return an argument's name in one form: another server may call it ``campaignId`` or ``x-sub-organization-id``."""
    return re.sub(r"^x-|[-_]", "", name.casefold())


def _shown(call: Call) -> str:
    return f"{call.tool}({', '.join(f'{name}={value}' for name, value in call.arguments.items())})"
