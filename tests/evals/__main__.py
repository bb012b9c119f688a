"""Measures how well a model uses the tools: questions about the sandbox, the real server, and checked answers.

    export EVALS_API_KEY=...   # not needed for a model on this machine
    python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1
    python -m tests.evals --scripted right

Use any OpenAI-compatible endpoint. The questions are in ``questions.toml``. Exit code: 0 the score reaches the
threshold, 1 it does not, 2 wrong usage, 3 the endpoint returned no valid answer.
"""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import click
import httpx2

from callers_mcp.settings import is_key, is_loopback
from tests.evals.models import Endpoint, EndpointError, Model, Scripted
from tests.evals.questions import Way, load
from tests.evals.report import markdown, score
from tests.evals.run import TURNS, Outcome, evaluate
from tests.evals.servers import Servers

KEY_VARIABLE = "EVALS_API_KEY"  # CALLERS_... variables are for the server


class _Failed(click.ClickException):
    exit_code = 3


def _writable(context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Check that the report can be written, before the user pays for the answers."""
    if file:
        try:
            file.open("a").close()
        except OSError as error:
            raise click.BadParameter(f"can't be written: {error.strerror}") from None
    return file


@click.command(epilog="Example: python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1")
@click.option("--model", help="The endpoint's name of the model.")
@click.option("--base-url", help=f"The URL before /chat/completions. The key is read from {KEY_VARIABLE}.")
@click.option("--scripted", type=click.Choice(["right", "wrong"]), help="Follow a script instead of using a model.")
@click.option(
    "--results", type=click.Choice(["text", "structured"]), help="The part of a result that the model receives. [text]"
)
@click.option("--only", multiple=True, metavar="ID", help="Ask only this question; repeatable.")
@click.option(
    "--turns",
    type=click.IntRange(1, 50),
    default=TURNS,
    show_default=True,
    help="Largest number of turns for a question.",
)
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="The required score.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_writable,
    help="Write the report to this file.",
)
def main(
    model: str | None,
    base_url: str | None,
    scripted: Way | None,
    results: str | None,
    only: Sequence[str],
    turns: int,
    threshold: float,
    report: Path | None,
) -> None:
    """Ask a model questions about the sandbox, and report how many it answers right.

    Exit code: 0 the threshold is reached; 1 it is not; 2 wrong usage; 3 the endpoint returned no valid answer.
    """
    if bool(scripted) == bool(model and base_url) or (scripted and (model or base_url)):
        raise click.UsageError("Use --model and --base-url, or --scripted.")
    questions = [question for question in load() if not only or question.id in only]
    if unknown := set(only) - {question.id for question in questions}:
        raise click.UsageError(f"No such question: {', '.join(sorted(unknown))}")
    key = _key(base_url) if base_url else None

    outcomes: list[Outcome] = []

    def progress(outcome: Outcome) -> None:
        outcomes.append(outcome)
        click.echo(f"{outcome.question.id}: {'pass' if outcome.passed else 'fail'}", err=True)

    async def ask() -> None:
        async with Servers() as servers, httpx2.AsyncClient() as http:
            answering: Model = (
                Scripted(scripted, questions) if scripted else Endpoint(model or "", base_url or "", key, http)
            )
            structured = results == "structured" if results else scripted is not None
            await evaluate(questions, answering, servers, turns=turns, structured=structured, on_outcome=progress)

    failure = None
    try:
        anyio.run(ask)
    except EndpointError as error:
        failure = str(error)
        if not outcomes:
            raise _Failed(failure) from None
    name = model or f"scripted: {scripted}"
    text = markdown(outcomes, model=name, threshold=threshold, at=datetime.now(UTC))
    if failure:
        text += f"\nIt stopped after {len(outcomes)} of {len(questions)} questions: {failure}.\n"
    if report:
        report.write_text(text, "utf-8")
    else:
        click.echo(text)
    if failure:
        raise _Failed(failure)
    sys.exit(0 if score(outcomes) >= threshold else 1)


def _key(base_url: str) -> str | None:
    """Return the endpoint's key, or None; refuse a URL to which the key may not be sent."""
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise click.UsageError("--base-url is not an http or https URL.")
    if key and not (url.scheme == "https" or is_loopback(url.host)):
        raise click.UsageError("--base-url must be https, because the key is sent there.")
    if key and not is_key(key):
        raise click.UsageError(f"{KEY_VARIABLE} has characters that are not allowed in an HTTP header.")
    return key


if __name__ == "__main__":
    main()
