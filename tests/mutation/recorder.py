"""A plugin for pytest that records which lines of the package each test executes, and how long the test takes.

Each test process writes two files into the folder that ``MUTATION_RECORD`` names. pytest-cov has contexts too, but
writes to its file after each part of a test, which fails in a test that gives up the rights of root for a while.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

_lines = coverage.Coverage(data_file=None, config_file=False, source=["callers_mcp"])
_seconds: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if not _seconds:  # not in the process that only hands out the tests
        _lines.start()
    _lines.switch_context(item.nodeid)
    started = time.monotonic()
    result = yield
    _seconds[item.nodeid] = time.monotonic() - started
    _lines.switch_context("")
    return result


def pytest_sessionfinish() -> None:
    if not _seconds:
        return
    _lines.stop()
    folder = Path(os.environ["MUTATION_RECORD"])
    coverage.CoverageData(str(folder / f"{os.getpid()}.lines")).update(_lines.get_data())
    (folder / f"{os.getpid()}.seconds").write_text(json.dumps(_seconds))


@dataclass(frozen=True)
class Record:
    """What a run of the tests recorded: the tests that execute each line of each module, and the seconds of each."""

    tests: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]


def read(folder: Path) -> Record:
    """Put together what the test processes recorded."""
    tests: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    seconds: dict[str, float] = {}
    for path in folder.glob("*.lines"):
        seconds |= json.loads(path.with_suffix(".seconds").read_text())
        lines = coverage.CoverageData(str(path))
        lines.read()
        for module in lines.measured_files():
            for line, names in lines.contexts_by_lineno(module).items():
                tests[module][line] |= {*names} - {""}
    return Record(tests, seconds)
