"""Runs chosen tests in a forked process, which need not import again what is imported here."""

import contextlib
import gc
import math
import os
import signal
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import Phase, settings

_LOADED = ("mcp.server.lowlevel", "mcp.client.stdio", "httpx2", "starlette.applications", "uvicorn")
"""What most tests import."""

TIMED_OUT = "timed out"
_PATIENCE = 20  # seconds
_OPTIONS = (
    "-q",
    "-x",
    "-n",
    "0",
    "-p",
    "no:cacheprovider",
    "--tb=no",
    "--hypothesis-seed=0",
    "--hypothesis-profile=mutation",
)
_WARNINGS = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # of plugins that are imported here


class _Chosen:
    """A plugin for pytest: keeps the chosen tests, in their order, and new ones; knows which test failed."""

    def __init__(self, tests: list[str], seconds: dict[str, float]) -> None:
        self._order, self._seconds = {name: at for at, name in enumerate(tests)}, seconds
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [each for each in items if each.nodeid in self._order or each.nodeid not in self._seconds]
        items[:] = sorted(kept, key=lambda each: self._order.get(each.nodeid, -1))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.alarm(_PATIENCE + 5 * math.ceil(self._seconds.get(nodeid, 0)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid


def failure(tests: list[str], seconds: dict[str, float], output: Path) -> str | None:
    """Run tests until one fails.

    Args:
        tests: The node ids of the tests, in the order to run them in.
        seconds: How long each test of the project takes. A test that is not among them has parameters that the change
            made, and is run too. A test times out in five times as long, and 20 seconds.
        output: The file for what pytest prints.

    Returns:
        The node id of the test that failed, ``TIMED_OUT``, or None if all passed. If a conftest can't be imported,
        there is no test: the exit code of pytest.
    """
    for name in _LOADED:
        import_module(name)
    settings.register_profile("mutation", phases=(Phase.explicit, Phase.generate))  # not to find the smallest example
    gc.freeze()
    result = output.with_suffix(".failed")
    result.write_text("")
    child = os.fork()
    if not child:
        code, chosen = 3, _Chosen(tests, seconds)  # an internal error
        try:
            os.setsid()
            signal.alarm(_PATIENCE)  # it ends the process
            for number in (1, 2):
                os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            files = dict.fromkeys(name.split("::")[0] for name in tests)
            code = pytest.main([*_OPTIONS, *_WARNINGS, *files], plugins=[chosen])
        finally:
            result.write_text(chosen.failed)
            os._exit(code)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started and left
    match os.waitstatus_to_exitcode(status):
        case 0 | pytest.ExitCode.NO_TESTS_COLLECTED:
            return None
        case code if code == -signal.SIGALRM:
            return TIMED_OUT
        case code:
            return result.read_text() or f"pytest: exit code {code}"
