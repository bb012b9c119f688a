"""What mutation testing leaves out, and which lines are executed together."""

import pytest

from tests.mutation.places import executed_with, left_out

SOURCE = """\
async def wait(seconds: int | None, logger: Log) -> str | None:
    limit: int | None = seconds or 3
    logger.info("waited %d", seconds + 1)
    return str(seconds + limit)

class Clock:
    step = 1

    @cached
    def read(
        self,
    ):
        return (
            1
        )
"""


def test_only_log_texts_and_annotations_are_left_out() -> None:
    lines = SOURCE.splitlines()
    texts = [lines[first[0] - 1][first[1] : last[1]] for first, last in left_out(SOURCE)]
    assert sorted(texts) == sorted(
        ["int | None", "Log", "str | None", "int | None", 'logger.info("waited %d", seconds + 1)']
    )


@pytest.mark.parametrize(
    ("line", "together"),
    [
        pytest.param(4, range(4, 5), id="a statement"),
        pytest.param(14, range(13, 16), id="in the middle of a statement"),
        pytest.param(9, range(9, 16), id="a decorator"),
        pytest.param(11, range(9, 16), id="an argument"),
        pytest.param(7, None, id="a value of a class"),
    ],
)
def test_a_line_is_executed_with_the_smallest_statement_of_its_function(line: int, together: range | None) -> None:
    assert executed_with(SOURCE, line) == together
