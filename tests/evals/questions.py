"""The questions: data in ``questions.toml``, and what each field of it means."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("questions.toml")

ANY = "*"
"""As an argument's value: given, whatever it is."""

Way = Literal["right", "wrong"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Data):
    """A call, or a kind of call: what else it may say does not matter."""

    tool: str
    arguments: dict[str, str | int | bool] = {}


class Expect(_Data):
    """What an answer and the calls for it must be like.

    Attributes:
        answer_has: Phrases that the answer must have, all of them; of a list any one.
        answer_lacks: Phrases that it must not have.
        local_time: A time zone, whose time the answer must tell.
        calls: Calls that must have been made, in any order, among others.
        never_calls: Calls that must not have been made.
        max_calls: How many calls are enough.
    """

    answer_has: list[str | list[str]] = []
    answer_lacks: list[str] = []
    local_time: str | None = None
    calls: list[Call] = []
    never_calls: list[Call] = []
    max_calls: int | None = None


class Script(_Data):
    """What the scripted model does: its calls, then an answer that is filled in from their results.

    Attributes:
        calls: Where left out, the right one makes those that are expected, the wrong one none.
        where: Which results the answer is drawn from, by path and value; where left out, all.
        answer: With ``{0/summary/status}`` for what stands there in the first result, ``{*/summary/id}`` in all.
    """

    calls: list[Call] | None = None
    where: dict[str, str | bool] = {}
    answer: str


class Question(_Data):
    """A question.

    Attributes:
        api: What the server stands in front of, see ``servers.KINDS``.
        right: How the scripted model that is right gets at the answer.
        wrong: What the one that is wrong says or does.
    """

    id: str
    ask: str
    api: str = "sandbox"
    expect: Expect
    right: Script
    wrong: Script

    def script(self, way: Way) -> Script:
        """Return what the scripted model does, with its calls."""
        script = self.right if way == "right" else self.wrong
        calls = self.expect.calls if way == "right" else []
        return script if script.calls is not None else script.model_copy(update={"calls": calls})


def load(file: Path = FILE) -> list[Question]:
    """Read the questions."""
    return [Question.model_validate(each) for each in tomllib.loads(file.read_text("utf-8"))["question"]]
