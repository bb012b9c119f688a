"""Measures how well a model uses the tools: questions about the sandbox, the real server, and checked answers.

    export EVALS_API_KEY=...   # not needed for a model on this machine
    python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1
    python -m tests.evals --scripted right

Use any OpenAI-compatible endpoint. The questions are in ``questions.toml``. Exit code: 0 the score reaches the
threshold, 1 it does not, 2 wrong usage, 3 the endpoint returned no valid answer or can't be used, 130 after Ctrl-C.
"""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import click
import httpx2

from callers_mcp.settings import is_key, is_loopback
from tests.evals.endpoint import Endpoint, EndpointUnusable
from tests.evals.models import Model, Scripted
from tests.evals.questions import Question, Way, load
from tests.evals.report import markdown, score, transcript
from tests.evals.run import TIMEOUT_SECONDS, TURNS, Outcome, evaluate
from tests.evals.servers import Servers, other, over_stdio

KEY_VARIABLE = "EVALS_API_KEY"  # CALLERS_... variables are for the server
INTERRUPTED = 130


def _writable(context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Check that the file can be written, before the user pays for the answers."""
    if file:
        try:
            file.open("a").close()
        except OSError as error:
            raise click.BadParameter(f"can't be written: {error.strerror}") from None
    return file


def _words(context: click.Context, parameter: click.Parameter, command: str | None) -> list[str]:
    try:
        return shlex.split(command or "")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_file = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: python -m tests.evals --model gpt-5-mini --base-url https://api.openai.com/v1")
@click.option("--model", help="The endpoint's name of the model.")
@click.option("--base-url", help=f"The URL before /chat/completions. The key is read from {KEY_VARIABLE}.")
@click.option("--scripted", type=click.Choice(["right", "wrong"]), help="Follow a script instead of using a model.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="Sent only if given.")
@click.option("--max-tokens", type=click.IntRange(1), help="Largest number of tokens of a message; sent only if given.")
@click.option(
    "--results", type=click.Choice(["text", "structured"]), help="The part of a result that the model receives. [text]"
)
@click.option("--only", multiple=True, metavar="ID", help="Ask only this question; repeatable.")
@click.option("--one-call", is_flag=True, help="Ask only the questions that one call of get_campaign answers.")
@click.option("--server", metavar="COMMAND", callback=_words, help="Measure another server, for comparison.")
@click.option(
    "--turns",
    type=click.IntRange(1, 50),
    default=TURNS,
    show_default=True,
    help="Largest number of turns for a question.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=TIMEOUT_SECONDS,
    show_default=True,
    help="Largest time for a question, in seconds.",
)
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="The required score.")
@click.option(
    "--report", metavar="FILE", type=_file, callback=_writable, help="Write the report here, after each question."
)
@click.option(
    "--transcript",
    "transcripts",
    metavar="FILE",
    type=_file,
    callback=_writable,
    help="Write the conversations here, after each question: a line of JSON each.",
)
def main(
    model: str | None,
    base_url: str | None,
    scripted: Way | None,
    temperature: float | None,
    max_tokens: int | None,
    results: str | None,
    only: Sequence[str],
    one_call: bool,
    server: Sequence[str],
    turns: int,
    timeout: float,
    threshold: float,
    report: Path | None,
    transcripts: Path | None,
) -> None:
    """Ask a model questions about the sandbox, and report how many it answers right.

    Exit code: 0 the threshold is reached; 1 it is not; 2 wrong usage; 3 the endpoint returned no valid answer, or can't
    be used; 130 after Ctrl-C. The report then has the questions so far.
    """
    if bool(scripted) == bool(model and base_url) or (scripted and (model or base_url)):
        raise click.UsageError("Use --model and --base-url, or --scripted.")
    if scripted and (temperature is not None or max_tokens):
        raise click.UsageError("Use --temperature and --max-tokens with --model.")
    questions = _selected(only, one_call)
    key = _key(base_url) if base_url else None
    structured = results == "structured" if results else scripted is not None

    http = httpx2.AsyncClient()
    answering: Model = (
        Scripted(scripted, questions)
        if scripted
        else Endpoint(model or "", base_url or "", key, http, temperature=temperature, max_tokens=max_tokens)
    )
    outcomes: list[Outcome] = []
    started = time.monotonic()

    def text(stopped: str | None = None) -> str:
        if len(outcomes) < len(questions):
            stopped = f"{stopped or 'It has not ended'} after {len(outcomes)} of {len(questions)} questions"
        conditions = {
            "Server": shlex.join(server) or "callers-mcp",
            "Results as": "structured" if structured else "text",
            "Limits of a question": f"{turns} turns, {timeout:g} seconds",
        }
        if isinstance(answering, Endpoint):
            sent = ", ".join(f"{name} {value:g}" for name, value in answering.sent.items())
            conditions["Sent"] = sent or "no temperature, no limit of tokens"
        return markdown(
            outcomes,
            model=answering.name,
            threshold=threshold,
            at=datetime.now(UTC),
            conditions=conditions,
            stopped=stopped,
        )

    def progress(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if report:
            report.write_text(text(), "utf-8")
        if transcripts:
            with transcripts.open("a", encoding="utf-8") as file:
                file.write(transcript(outcome))
        click.echo(
            f"{len(outcomes)}/{len(questions)} {outcome.question.id}: {'pass' if outcome.passed else 'fail'} "
            f"({outcome.seconds:.0f} s; {time.monotonic() - started:.0f} s in all)",
            err=True,
        )

    async def ask() -> None:
        async with Servers(other(server) if server else over_stdio) as servers, http:
            await evaluate(
                questions,
                answering,
                servers,
                turns=turns,
                timeout_seconds=timeout,
                structured=structured,
                on_outcome=progress,
            )

    if transcripts:
        transcripts.write_text("")
    stopped = failure = None
    try:
        anyio.run(ask)
    except KeyboardInterrupt:
        stopped = "It was interrupted"
    except EndpointUnusable as error:
        stopped, failure = f"It stopped ({error})", str(error)
    if not stopped and not any(outcome.usages for outcome in outcomes):
        failure = "no question got a valid answer of the model"
    if report:
        report.write_text(text(stopped), "utf-8")
    elif outcomes:
        click.echo(text(stopped))
    if failure:
        click.echo(f"Error: {failure}", err=True)
    if stopped or failure:
        sys.exit(3 if failure else INTERRUPTED)
    sys.exit(0 if score(outcomes) >= threshold else 1)


def _selected(only: Sequence[str], one_call: bool) -> list[Question]:
    questions = load()
    if unknown := set(only) - {question.id for question in questions}:
        raise click.UsageError(f"No such question: {', '.join(sorted(unknown))}")
    selected = [
        question
        for question in questions
        if (not only or question.id in only) and (not one_call or question.tools == ["get_campaign"])
    ]
    if not selected:
        raise click.UsageError("No question is left: --one-call excludes those of --only.")
    return selected


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
