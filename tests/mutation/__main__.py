"""Mutation testing: changes the code in one place at a time, and reports the changes that no test notices.

    python -m tests.mutation --sample 600 --seed 1
    python -m tests.mutation --sample 50 --seed 2 --only api campaign

Copies the tracked files to a temporary folder and installs them there, with cosmic-ray, which makes the changes. Each
mutant is run against the tests of its package, and one that survives against all unmarked tests. The results are
appended to the file of ``--results``; the same command goes on where it stopped. Log texts and annotations are not
changed. Mutants that behave like the original are listed in ``equivalent.txt``.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.places import Position, left_out

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
TESTS = {
    "access.py": ["tests/core", "tests/server/test_access_surface.py"],
    "sanitize.py": ["tests/core/test_sanitize.py", "tests/campaign"],
    "campaign": ["tests/campaign"],
    "server": ["tests/server"],
    "api": ["tests/api"],
    "install": ["tests/install"],
}
"""The modules that are changed, and their tests."""


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


def passes(arguments: list[str], timeout: float | None) -> bool | None:
    """Run tests; return whether they pass, or None if they took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # else a change within a second may not be noticed
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.wait(timeout) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None


def run(mutant: Mutant, timeouts: dict[str, float]) -> dict[str, Any]:
    """Apply a mutant, run the tests, and put the module back."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import use_mutation

    started = time.monotonic()
    operator = plugins.get_operator(mutant.operator)()
    with use_mutation(ROOT / mutant.module, operator, mutant.occurrence) as (before, after):
        old, new = before.splitlines(), after.splitlines()
        changed = next((new[at].strip() for at in range(len(new)) if at >= len(old) or old[at] != new[at]), "")
        passed = passes([*TESTS[mutant.package], "-n", "0"], timeouts[mutant.package])
        if passed:
            passed = passes(["-n", "auto", "--dist", "worksteal"], timeouts["all"])
    outcome = {True: "survived", False: "killed", None: "timed out"}[passed]
    seconds = round(time.monotonic() - started, 1)
    return {"name": mutant.name, "line": changed, "outcome": outcome, "seconds": seconds}


def inside(sample: int, seed: int, only: list[str], results: Path) -> int:
    """Run the mutants in this copy of the project."""
    for cached in (ROOT / "callers_mcp").rglob("*.pyc"):
        cached.unlink()
    everything = [mutant for package in TESTS for mutant in mutants(package)]
    sampled = random.Random(seed).sample(everything, min(sample, len(everything)))
    drawn = [each for each in sampled if each.package in (only or TESTS)]
    done = [json.loads(line) for line in results.read_text("utf-8").splitlines()] if results.exists() else []
    timeouts: dict[str, float] = {}
    for package, tests in {**{each: TESTS[each] for each in {each.package for each in drawn}}, "all": []}.items():
        started = time.monotonic()
        if not passes([*tests, "-n", "auto" if package == "all" else "0"], None):
            print(f"The tests of {package} fail without a change.", file=sys.stderr)
            return 2
        timeouts[package] = 60 + 3 * (time.monotonic() - started)
    names = {each["name"] for each in done}
    for number, mutant in enumerate(drawn, 1):
        if mutant.name not in names:
            done.append(run(mutant, timeouts))
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
            print(f"{number} of {len(drawn)}: {done[-1]['outcome']}: {mutant.name}", file=sys.stderr)
    return report(done, len(everything), seed)


def report(done: list[dict[str, Any]], of: int, seed: int) -> int:
    """Print the score and the survivors; return the exit code: 1 below 95 %."""
    equivalent = set(EQUIVALENT.read_text("utf-8").splitlines())
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
    parser.add_argument("--only", nargs="*", choices=TESTS, default=[], help="of the sample, only these packages")
    parser.add_argument("--results", type=Path, default=Path("mutation.jsonl"), help="default: mutation.jsonl")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options.sample, options.seed, options.only, options.results)
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["xargs", "-0", "cp", "--parents", "-t", folder], cwd=ROOT, input=files, check=True)
        python = Path(folder, ".venv/bin/python")
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "-e", ".[test]", "cosmic-ray>=8.7,<9"]
        subprocess.run(install, cwd=folder, check=True)
        given = ["--results", str(options.results.resolve()), "--sample", str(options.sample)]
        given += ["--seed", str(options.seed), *(["--only", *options.only] if options.only else [])]
        return subprocess.run([str(python), "-m", "tests.mutation", "--inside", *given], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main())
