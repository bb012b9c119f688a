"""The packages import each other in one direction, without circular imports."""

import ast
import functools
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from callers_mcp.cli.runtime import HTTP_EXTRA

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "callers_mcp").rglob("*.py")
}
BASE = {"access", "files", "logs", "sanitize", "settings"}
ALLOWED = {  # what the modules of a package may import besides each other; "cli" may import everything
    "settings": set[str](),
    "sanitize": set[str](),
    "files": set[str](),
    "sandbox": set[str](),
    "access": {"settings", "api.errors", "api.key"},
    "logs": {"settings", "sanitize", "api.errors", "api.key", "api.json_reader"},
    "api": BASE,
    "campaign": BASE | {"api"},
    "server": BASE | {"api", "campaign"},
    "stdio": BASE | {"api", "server"},
    "http": BASE | {"api", "server"},
    "install": {"files", "settings", "sanitize"},
}


def imported(module: str) -> set[str]:
    """Return the modules of this package that a module imports, also in functions, but not only for type checking."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in FILES else node.module for name in names}
    return (found & FILES.keys()) - {"callers_mcp"}  # the package itself holds the version


@functools.cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports, without the package itself, whose exports are lazy."""
    return {module: imported(module) for module in FILES if module != "callers_mcp"}


def test_there_are_no_circular_imports() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the modules


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    mine = {module for module in graph() if f"{module}.".startswith(f"callers_mcp.{package}.")}
    assert mine
    allowed = tuple(f"callers_mcp.{name}." for name in ALLOWED[package] | {package})
    wrong = {(module, name) for module in mine for name in graph()[module] if not f"{name}.".startswith(allowed)}
    assert not wrong


def test_every_package_is_in_the_table() -> None:
    assert {module.split(".")[1] for module in graph()} == ALLOWED.keys() | {"cli", "__main__"}


def test_the_server_package_imports_nothing() -> None:
    assert graph()["callers_mcp.server"] == set()


def test_the_packages_that_a_hosted_server_looks_for_belong_to_its_extra() -> None:
    extra = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["http"]
    names = {Requirement(line).name.lower().replace("-", "_") for line in extra}
    distributions = packages_distributions()
    for module in HTTP_EXTRA:
        assert names & {name.lower().replace("-", "_") for name in distributions[module]}, module
