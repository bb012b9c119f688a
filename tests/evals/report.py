"""The report as Markdown. Text from a model is only in code spans, so that it is never Markdown or HTML."""

import json
from collections.abc import Sequence
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
    return sum(outcome.passed for outcome in outcomes) / len(outcomes)


def markdown(outcomes: Sequence[Outcome], *, model: str, threshold: float, at: datetime) -> str:
    """Return the report."""
    passed = sum(outcome.passed for outcome in outcomes)
    verdict = "reached" if score(outcomes) >= threshold else "missed"
    usage = total([outcome.usage for outcome in outcomes])
    return "\n".join(
        [
            f"# Evaluation of {code(model, 80)}",
            "",
            f"**{passed} of {len(outcomes)} right ({score(outcomes):.0%})**; threshold {threshold:.0%} {verdict}.",
            "",
            f"- Date: {at:%Y-%m-%d %H:%M} UTC; callers-mcp {__version__}",
            f"- Calls of tools: {sum(len(outcome.calls) for outcome in outcomes)}",
            f"- Tokens: {_tokens(usage)}",
            "",
            "| question | result | why | calls | tokens | answer |",
            "| --- | --- | --- | --- | --- | --- |",
            *map(_row, outcomes),
            "",
        ]
    )


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


def _tokens(usage: Usage | None) -> str:
    return f"{usage.prompt:,} + {usage.completion:,} = {sum(usage):,}" if usage else _NOT_REPORTED


def code(text: str, limit: int = _MAX_CHARACTERS) -> str:
    """Return ``text`` cleaned and truncated as a code span; it can't end the span or the table cell early."""
    shown = truncate(" ".join(text.split()), limit).replace("`", "'").replace("|", "¦").strip()
    return f"`{shown}`" if shown else "-"
