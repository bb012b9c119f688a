"""Mutation testing: changes the code in one place at a time, and reports the changes that no test notices.

    python -m tests.mutation --sample 600 --seed 1
    python -m tests.mutation --sample 600 --seed 1 --survivors --whole
    python -m tests.mutation --sample 50 --seed 2 --only api campaign

Copies the tracked files to a temporary folder and installs them there, with cosmic-ray, which makes the changes. All
unmarked tests run there once, to record which test executes which line. Each mutant is run against the tests that
execute its line: those of its package, and if it survives, the others. If the line runs when the module is imported,
these are all tests that execute any line of the module. The other tests can notice a change only in a process that
they start: ``--whole`` runs the survivors against all unmarked tests.

A mutant that lets a test hang counts as timed out; if the run is stopped for a while, that can be wrong.

The results are appended to the file of ``--results``; the same command goes on where it stopped, and ``--survivors``
runs those again that survived. Log texts and annotations are not changed. Mutants that behave like the original are
listed in ``equivalent.txt``.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.forked import TIMED_OUT, failure
from tests.mutation.places import Position, executed_with, left_out
from tests.mutation.recorder import Record, read

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
TESTS = {
    "access.py": ("tests/core/", "tests/server/test_access_surface.py"),
    "sanitize.py": ("tests/core/test_sanitize.py", "tests/campaign/"),
    "campaign": ("tests/campaign/",),
    "server": ("tests/server/",),
    "api": ("tests/api/",),
    "install": ("tests/install/",),
}
"""The modules that are changed, and how the names of their tests begin."""

IMPOSSIBLE = "impossible"
"""The outcome of a change that is a syntax error: another mutant is drawn instead."""


@dataclass(frozen=True)
class Mutant:
    """One change: the ``occurrence`` of an operator of cosmic-ray in a module."""

    package: str
    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line} {self.operator} {self.occurrence}"


def mutants(package: str) -> list[Mutant]:
    """Return all mutants of a package, except those in log texts and annotations."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast_from_path

    found = []
    path = ROOT / "callers_mcp" / package
    for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        skipped = left_out(module.read_text("utf-8"))
        nodes = list(ast_nodes(get_ast_from_path(module)))
        for operator in sorted(plugins.operator_names()):
            kind = plugins.get_operator(operator)
            if kind.arguments():  # the names of variables to replace
                continue
            positions: list[tuple[Position, Position]] = [
                place for node in nodes for place in kind().mutation_positions(node)
            ]
            found += [
                Mutant(package, str(module.relative_to(ROOT)), operator, at, start[0])
                for at, (start, _) in enumerate(positions)
                if not any(first <= start < last for first, last in skipped)
            ]
    return found


def executing(mutant: Mutant, record: Record) -> list[str]:
    """Return the tests that execute the line of a mutant, those of the fastest file first."""
    module = ROOT / mutant.module
    tests = record.tests[str(module)]
    lines = executed_with(module.read_text("utf-8"), mutant.line)
    found = tests.get(mutant.line, set()) if lines and mutant.line != lines[0] else set()  # a def runs at import
    found = found or set().union(*(tests.get(line, set()) for line in lines or ()))
    if not found:  # only an import executes it, or a test that keeps what it read for the others
        found = {name for name in record.seconds if name.startswith(TESTS[mutant.package])}.union(*tests.values())
    files: dict[str, float] = defaultdict(float)
    for name in found:
        files[name.split("::")[0]] += record.seconds[name]
    return sorted(found, key=lambda name: (files[name.split("::")[0]], record.seconds[name]))


def run(mutant: Mutant, number: int, record: Record, whole: bool, output: Path) -> dict[str, Any]:
    """Apply a mutant, run the tests, and put the module back."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    started = time.monotonic()
    module = ROOT / mutant.module
    before = module.read_text("utf-8")
    try:
        after = mutate_code(before, plugins.get_operator(mutant.operator)(), mutant.occurrence)
        compile(after, module, "exec")
    except (SyntaxError, AttributeError):  # cosmic-ray cannot replace an exception with a dotted name
        return {"name": mutant.name, "outcome": IMPOSSIBLE, "by": None, "seconds": 0}
    old, new = before.splitlines(), after.splitlines()
    changed = next((new[at].strip() for at in range(len(new)) if at >= len(old) or old[at] != new[at]), "")
    tests = executing(mutant, record)
    stages = [[name for name in tests if name.startswith(TESTS[mutant.package]) is own] for own in (True, False)]
    stages += [sorted(record.seconds)] if whole else []
    module.write_text(after, "utf-8")
    os.utime(module, (number, number))  # so that the bytecode of the mutant before is not taken for its own
    try:
        failures = (failure(stage, record.seconds, output) for stage in stages if stage)
        failed = next((test for test in failures if test), None)
    finally:
        module.write_text(before, "utf-8")
    outcome = failed if failed == TIMED_OUT else "killed" if failed else "survived"
    seconds = round(time.monotonic() - started, 1)
    return {"name": mutant.name, "line": changed, "outcome": outcome, "by": failed, "seconds": seconds}


def inside(options: argparse.Namespace) -> int:
    """Run the mutants in this copy of the project."""
    sys.dont_write_bytecode = False  # whatever the environment says: to compile the tests takes seconds
    recorded, output, results = ROOT / ".recorded", ROOT / ".pytest", options.results
    if not recorded.exists():
        recorded.mkdir()
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider"]
        command += ["-p", "tests.mutation.recorder"]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"MUTATION_RECORD": str(recorded)}, check=True)
    record = read(recorded)
    everything = [mutant for package in options.only or TESTS for mutant in mutants(package)]
    done: dict[str, dict[str, Any]] = {}
    if results.exists():
        done = {each["name"]: each for each in map(json.loads, results.read_text("utf-8").splitlines())}
    again = {name for name, each in done.items() if each["outcome"] == "survived" and options.survivors}
    number = 0
    for mutant in random.Random(options.seed).sample(everything, len(everything)):
        if number == options.sample:
            break
        if mutant.name in again or mutant.name not in done:
            outcome = done[mutant.name] = run(mutant, number + 1, record, options.whole, output)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome) + "\n")
            print(f"{number + 1} of {options.sample}: {outcome['outcome']}: {mutant.name}", file=sys.stderr)
        number += done[mutant.name]["outcome"] != IMPOSSIBLE
    killers = sorted({each["by"] for each in done.values() if each["by"] in record.seconds})
    if failed := failure(killers or [*record.seconds][:1], record.seconds, output):
        print(f"The result is not valid: {failed} fails without a change.", file=sys.stderr)
        return 2
    return report(done.values(), len(everything), options.seed)


def report(results: Collection[dict[str, Any]], of: int, seed: int) -> int:
    """Print the score and the survivors; return the exit code: 1 below 95 %."""
    equivalent = {line for line in EQUIVALENT.read_text("utf-8").splitlines() if not line.startswith("#")}
    done = [each for each in results if each["outcome"] != IMPOSSIBLE]
    survivors = [each for each in done if each["outcome"] == "survived"]
    left = [each for each in survivors if f"{each['name'].split(':')[0]}: {each['line']}" not in equivalent]
    counted = len(done) - len(survivors) + len(left)
    score = (counted - len(left)) / max(counted, 1)
    print(f"{len(done)} of {of} mutants, seed {seed}: {dict(Counter(each['outcome'] for each in done))}")
    print(f"equivalent: {len(survivors) - len(left)}; score: {score:.1%}")
    print(f"{sum(each['seconds'] for each in done) / 3600:.1f} hours")
    for each in left:
        print(f"survived: {each['name']}: {each['line']}")
    return 0 if score >= 0.95 else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sample", type=int, default=600, help="the number of mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=TESTS, default=[], help="change only these packages")
    parser.add_argument("--survivors", action="store_true", help="run those again that survived")
    parser.add_argument("--whole", action="store_true", help="run what survives against all unmarked tests")
    parser.add_argument("--results", type=Path, default=Path("mutation.jsonl"), help="default: mutation.jsonl")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    given = [*sys.argv[1:], "--inside", "--results", str(options.results.resolve())]
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["xargs", "-0", "cp", "--parents", "-t", folder], cwd=ROOT, input=files, check=True)
        python = Path(folder, ".venv/bin/python")
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "-e", ".[test]", "cosmic-ray>=8.7,<9"]
        subprocess.run(install, cwd=folder, check=True)
        return subprocess.run([str(python), "-m", "tests.mutation", *given], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
