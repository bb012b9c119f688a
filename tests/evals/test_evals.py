"""The command ``python -m tests.evals``: its report, its exit codes, and its messages."""

import _thread
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import inherited
from tests.evals.__main__ import main
from tests.evals.questions import load
from tests.evals.servers import in_memory
from tests.support.chat_endpoint import ENDPOINT_KEY, Message, calling, endpoint, saying
from tests.support.constants import PATIENCE
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SOME = ("--only", "status-paused", "--only", "form-of-an-id")
WITHOUT_CALL = ("--only", "form-of-an-id", "--only", "pause-it")


@pytest.fixture
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command run its servers inside this process."""
    monkeypatch.setattr("tests.evals.__main__.over_stdio", in_memory)


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Handle Ctrl-C as a program at a terminal does, also if the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def command(*arguments: str, **environment: str) -> Result:
    """Run the command inside this process."""
    return CliRunner().invoke(main, arguments, env={"EVALS_API_KEY": None, **environment})


def right(_: list[Message]) -> Message:
    return saying("It is 24 hexadecimal digits. I can't stop it.")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent to a group of processes")
def test_ctrl_c_at_a_terminal_stops_the_command_and_its_servers_and_leaves_the_report_so_far(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    with endpoint(right, None) as (url, requests):
        arguments = ["--model", "m", "--base-url", url, *WITHOUT_CALL, "--report", str(report)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.evals", *arguments],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("EVALS_")} | inherited(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
        )
        until(lambda: len(requests) == 2, "the second question is asked")
        assert "It has not ended after 1 of 2 questions." in report.read_text("utf-8")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE * 6)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "It was interrupted after 1 of 2 questions." in report.read_text("utf-8")


@pytest.mark.usefixtures("_in_memory")
def test_the_command_reports_on_stdout_and_exits_with_0_if_the_threshold_is_reached() -> None:
    done = command("--scripted", "right", *SOME)
    assert done.exit_code == 0, done.output
    assert "**2 of 2 right (100%)**" in done.stdout
    assert "Tokens: not reported" in done.stdout
    assert "- Questions that need one call: 1 of 1 right\n- Questions that need no call: 1 of 1 right" in done.stdout


@pytest.mark.usefixtures("_in_memory")
def test_below_the_threshold_it_exits_with_1_and_the_report_can_be_written_to_a_file(tmp_path: Path) -> None:
    done = command("--scripted", "wrong", *SOME, "--report", str(tmp_path / "report.md"))
    assert (done.exit_code, done.stdout) == (1, "")
    assert "**0 of 2 right (0%)**" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.usefixtures("_in_memory")
def test_the_endpoint_receives_the_key_and_if_it_is_refused_the_report_has_the_questions_so_far() -> None:
    with endpoint(lambda _: saying("It is 24 hexadecimal digits."), 401) as (url, requests):
        done = command("--model", "m", "--base-url", url, *WITHOUT_CALL, EVALS_API_KEY=ENDPOINT_KEY)
    assert [request["key"] for request in requests] == [f"Bearer {ENDPOINT_KEY}"] * 2
    assert done.exit_code == 3
    assert "**0 of 1 right (0%)**" in done.stdout
    assert 'It stopped (the endpoint answered 401: " no, not with ***") after 1 of 2 questions.' in done.stdout
    first, last = done.stderr.splitlines()
    assert re.fullmatch(r"1/2 pause-it: fail \(\d+ s; \d+ s in all\)", first)
    assert last == 'Error: the endpoint answered 401: " no, not with ***"'


@pytest.mark.usefixtures("_in_memory", "_ctrl_c")
def test_after_ctrl_c_the_exit_code_is_130_and_the_files_have_the_questions_so_far(tmp_path: Path) -> None:
    report, transcript = tmp_path / "report.md", tmp_path / "transcript.jsonl"
    transcript.write_text("of an earlier run\n")

    def interrupted(_: list[Message]) -> Message:
        assert "It has not ended after 1 of 2 questions." in report.read_text("utf-8")
        _thread.interrupt_main()
        return saying("I can't.")

    with endpoint(lambda _: calling("{}"), right, interrupted) as (url, requests):
        files = ["--report", str(report), "--transcript", str(transcript)]
        done = command("--model", "m", "--base-url", url, *WITHOUT_CALL, *files, "--temperature", "0")
    assert done.exit_code == 130, done.output
    assert len(requests) == 3
    text = report.read_text("utf-8")
    assert "It was interrupted after 1 of 2 questions." in text
    assert "- Sent: `temperature 0`" in text
    (record,) = map(json.loads, transcript.read_text("utf-8").splitlines())
    assert (record["question"], record["passed"]) == ("pause-it", True)
    assert [message["role"] for message in record["messages"]] == ["system", "user", "assistant", "tool", "assistant"]


@pytest.mark.usefixtures("_in_memory")
@pytest.mark.parametrize(
    ("reply", "problem"),
    [(b"<html>", "the endpoint's answer is not a chat completion"), (400, "the endpoint answered 400")],
)
def test_an_answer_that_is_not_valid_fails_its_question_only(reply: bytes | int, problem: str) -> None:
    with endpoint(reply, right) as (url, requests):
        done = command("--model", "m", "--base-url", url, *WITHOUT_CALL)
    assert done.exit_code == 1, done.output
    assert "**1 of 2 right (50%)**" in done.stdout
    assert problem in done.stdout
    assert len(requests) == 2


@pytest.mark.usefixtures("_in_memory")
def test_a_late_answer_fails_its_question_and_is_not_requested_again() -> None:
    with endpoint(None) as (url, requests):
        done = command("--model", "m", "--base-url", url, *WITHOUT_CALL, "--timeout", "0.1")
    assert done.stdout.count("no answer within 0.1 seconds") == 2
    assert len(requests) <= 2
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1] == "Error: no question got a valid answer of the model"


@pytest.mark.usefixtures("_in_memory")
def test_an_endpoint_that_can_not_be_reached_stops_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tests.evals.endpoint._MAX_WAIT_SECONDS", 0)
    with endpoint(right) as (url, _):
        pass
    report = tmp_path / "report.md"
    done = command("--model", "m", "--base-url", url, "--one-call", "--report", str(report))
    assert (done.exit_code, done.stderr) == (3, "Error: the endpoint can't be reached: ConnectError\n")
    number = sum(question.tools == ["get_campaign"] for question in load())
    assert 20 < number < len(load())
    assert f"after 0 of {number} questions." in report.read_text("utf-8"), "only those that one call answers"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--scripted"),
        (["--model", "m"], "--base-url"),
        (["--scripted", "right", "--model", "m"], "--scripted"),
        (["--scripted", "right", "--max-tokens", "9"], "with --model"),
        (["--scripted", "right", "--only", "unknown"], "No such question: unknown"),
        (["--scripted", "right", "--one-call", "--only", "form-of-an-id"], "No question is left"),
        (["--scripted", "right", "--server", "'"], "No closing quotation"),
        (["--model", "m", "--base-url", "http://models.example.com/v1"], "must be https"),
        (["--model", "m", "--base-url", "models.example.com"], "not an http or https URL"),
        (["--scripted", "right", "--report", "/nowhere/report.md"], "can't be written"),
    ],
)
def test_wrong_usage_is_reported_before_any_request(arguments: list[str], reason: str) -> None:
    done = command(*arguments, EVALS_API_KEY=ENDPOINT_KEY)
    assert done.exit_code == 2
    assert reason in done.output
    assert ENDPOINT_KEY not in done.output
