"""The questions in ``questions.toml``, and the meaning of each field."""

import functools
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("questions.toml")

ANY = "*"
"""As the value of an argument: any value that is not missing."""

Way = Literal["right", "wrong"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Data):
    """A call, or a kind of call: it may have other arguments too."""

    tool: str
    arguments: dict[str, str | int | bool] = {}


class Expect(_Data):
    """The conditions that an answer and its calls must meet.

    Attributes:
        answer_has: Phrases that the answer must have; a list contains alternatives.
        answer_lacks: Phrases that it must not have.
        local_time: A time zone; the answer must have the present time there.
        calls: Calls that the model must make, in any order; it may make others too.
        never_calls: Calls that the model must not make.
        max_calls: The largest number of calls.
    """

    answer_has: list[str | list[str]] = []
    answer_lacks: list[str] = []
    local_time: str | None = None
    calls: list[Call] = []
    never_calls: list[Call] = []
    max_calls: int | None = None


class Script(_Data):
    """The script of the scripted model: its calls, then an answer that is filled in from their results.

    Attributes:
        calls: The calls. By default the right model makes the expected calls, and the wrong model none.
        where: Selects the results for the answer, by path and value. The default is all results.
        answer: The answer. ``{0/summary/status}`` is the value at this path in the first result, ``{*/summary/id}`` the
            values in all results.
    """

    calls: list[Call] | None = None
    where: dict[str, str | bool] = {}
    answer: str


class Question(_Data):
    """A question.

    Attributes:
        api: The kind of API behind the server, see ``servers.KINDS``.
        right: The script of the model that answers right.
        wrong: The script of the model that answers wrong.
    """

    id: str
    ask: str
    api: str = "sandbox"
    expect: Expect
    right: Script
    wrong: Script

    def script(self, way: Way) -> Script:
        """Return the script of the scripted model, with its calls."""
        script = self.right if way == "right" else self.wrong
        calls = self.expect.calls if way == "right" else []
        return script if script.calls is not None else script.model_copy(update={"calls": calls})

    @property
    def tools(self) -> list[str]:
        """The tool of each call that the right answer needs."""
        return [call.tool for call in self.script("right").calls or []]


@functools.cache
def load() -> list[Question]:
    """Read the questions."""
    return [Question.model_validate(table) for table in tomllib.loads(FILE.read_text("utf-8"))["question"]]
