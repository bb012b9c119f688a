"""What mutation testing leaves out."""

from tests.mutation.places import left_out

SOURCE = """\
async def wait(seconds: int | None, logger: Log) -> str | None:
    limit: int | None = seconds or 3
    logger.info("waited %d", seconds + 1)
    return str(seconds + limit)
"""


def test_only_log_texts_and_annotations_are_left_out() -> None:
    lines = SOURCE.splitlines()
    texts = [lines[first[0] - 1][first[1] : last[1]] for first, last in left_out(SOURCE)]
    assert sorted(texts) == sorted(
        ["int | None", "Log", "str | None", "int | None", 'logger.info("waited %d", seconds + 1)']
    )
