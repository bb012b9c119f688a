"""How well a model uses the tools: questions over the sandbox, through the real server, with checked answers.

    export EVALS_API_KEY=...   # not needed for a model on this machine
    python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1
    python -m tests.evals --scripted right

Any OpenAI-compatible endpoint will do. The questions are data: ``questions.toml``. Exit code: 0 the score reaches the
threshold, 1 it does not, 2 wrong usage, 3 the endpoint gave no usable answer.
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

KEY_VARIABLE = "EVALS_API_KEY"  # not CALLERS_..., which are the server's


class _Failed(click.ClickException):
    exit_code = 3


def _writable(context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Find out before the questions are paid for."""
    if file:
        try:
            file.open("a").close()
        except OSError as error:
            raise click.BadParameter(f"can't be written: {error.strerror}") from None
    return file


@click.command(epilog="Example: python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1")
@click.option("--model", help="What the endpoint calls the model.")
@click.option("--base-url", help=f"The endpoint, up to /chat/completions. Its key is read from {KEY_VARIABLE}.")
@click.option("--scripted", type=click.Choice(["right", "wrong"]), help="Follow a script instead of an endpoint.")
@click.option("--results", type=click.Choice(["text", "structured"]), help="What of a result is shown. [text]")
@click.option("--only", multiple=True, metavar="ID", help="Only this question; may be given again.")
@click.option("--turns", type=click.IntRange(1, 50), default=TURNS, show_default=True, help="Turns for a question.")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="The score to reach.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_writable,
    help="Write the report there.",
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
    """Ask a model questions over the sandbox, and report how many it answers right.

    Exit code: 0 the threshold is reached; 1 it is not; 2 wrong usage; 3 the endpoint gave no usable answer.
    """
    if bool(scripted) == bool(model and base_url) or (scripted and (model or base_url)):
        raise click.UsageError("Give --model and --base-url, or --scripted.")
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
            asked: Model = (
                Scripted(scripted, questions) if scripted else Endpoint(model or "", base_url or "", key, http)
            )
            structured = results == "structured" if results else scripted is not None
            await evaluate(questions, asked, servers, turns=turns, structured=structured, on_outcome=progress)

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
        text += f"\nIt ended after {len(outcomes)} of {len(questions)} questions, as {failure}.\n"
    if report:
        report.write_text(text, "utf-8")
    else:
        click.echo(text)
    if failure:
        raise _Failed(failure)
    sys.exit(0 if score(outcomes) >= threshold else 1)


def _key(base_url: str) -> str | None:
    """Return the endpoint's key if there is one and the URL may get it."""
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise click.UsageError("--base-url is not an http or https URL.")
    if key and not (url.scheme == "https" or is_loopback(url.host)):
        raise click.UsageError("--base-url must be https: the key goes there.")
    if key and not is_key(key):
        raise click.UsageError(f"{KEY_VARIABLE} has characters that no HTTP header can carry.")
    return key


if __name__ == "__main__":
    main()
