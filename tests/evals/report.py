"""The report as Markdown. Text from a model is only in code spans, so that it is never Markdown or HTML."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from callers_mcp import __version__
from callers_mcp.sanitize import truncate
from tests.evals.checks import Made
from tests.evals.models import Usage
from tests.evals.run import Outcome, total

_MAX_CHARACTERS = 160  # of an answer, or of a list of calls
_NOT_REPORTED = "not reported"


def score(outcomes: Sequence[Outcome]) -> float:
    """Return the fraction of the questions that is answered right."""
    return sum(outcome.passed for outcome in outcomes) / max(1, len(outcomes))


def markdown(
    outcomes: Sequence[Outcome],
    *,
    model: str,
    threshold: float,
    at: datetime,
    conditions: Mapping[str, str] = {},
    stopped: str | None = None,
) -> str:
    """Return the report.

    Args:
        outcomes: The outcomes of the questions so far.
        model: The model's name.
        threshold: The required score.
        at: The time of the report.
        conditions: How the questions were asked: the name and the value of each condition.
        stopped: Why questions are missing, or None if none is.
    """
    verdict = "reached" if score(outcomes) >= threshold else "missed"
    usage = total([outcome.usage for outcome in outcomes])
    return "\n".join(
        [
            f"# Evaluation of {code(model, 80)}",
            "",
            f"**{_right(outcomes)} ({score(outcomes):.0%})**; threshold {threshold:.0%} {verdict}.",
            *(["", f"{stopped}."] if stopped else []),
            "",
            f"- Date: {at:%Y-%m-%d %H:%M} UTC; callers-mcp {__version__}",
            *(f"- {name}: {code(value)}" for name, value in conditions.items()),
            *_by_number_of_calls(outcomes),
            f"- Calls of tools: {sum(len(outcome.calls) for outcome in outcomes)}",
            f"- Tokens: {_tokens(usage)}",
            f"- Time: {sum(outcome.seconds for outcome in outcomes):,.0f} s",
            "",
            "| question | result | why | calls | tokens | answer |",
            "| --- | --- | --- | --- | --- | --- |",
            *map(_row, outcomes),
            "",
        ]
    )


def _right(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(outcome.passed for outcome in outcomes)} of {len(outcomes)} right"


def _by_number_of_calls(outcomes: Sequence[Outcome]) -> list[str]:
    kinds: Mapping[str, Callable[[int], bool]] = {
        "one call": lambda number: number == 1,
        "several calls": lambda number: number > 1,
        "no call": lambda number: number == 0,
    }
    return [
        f"- Questions that need {kind}: {_right(those)}"
        for kind, fits in kinds.items()
        if (those := [outcome for outcome in outcomes if fits(len(outcome.question.tools))])
    ]


def _row(outcome: Outcome) -> str:
    cells = (
        outcome.question.id,
        "pass" if outcome.passed else "**fail**",
        code("; ".join(outcome.problems)),
        code(" ".join(map(_call, outcome.calls))),
        _tokens(outcome.usage),
        code(outcome.answer),
    )
    return f"| {' | '.join(cells)} |"


def _call(made: Made) -> str:
    return f"{made.tool}({json.dumps(made.arguments, ensure_ascii=False)[1:-1] if made.arguments is not None else '?'})"


def transcript(outcome: Outcome) -> str:
    """Return a question's conversation and its outcome as a line of JSON."""
    record = {
        "question": outcome.question.id,
        "passed": outcome.passed,
        "problems": outcome.problems,
        "seconds": round(outcome.seconds, 1),
        "messages": outcome.messages,
    }
    return json.dumps(record) + "\n"


def _tokens(usage: Usage | None) -> str:
    return f"{usage.prompt:,} + {usage.completion:,} = {sum(usage):,}" if usage else _NOT_REPORTED


def code(text: str, limit: int = _MAX_CHARACTERS) -> str:
    """Return ``text`` cleaned and truncated as a code span; it can't end the span or the table cell early."""
    shown = truncate(" ".join(text.split()), limit).replace("`", "'").replace("|", "¦").strip()
    return f"`{shown}`" if shown else "-"
