"""A release is built, twice the same, checked, and summed up by one command."""

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import callers_mcp
from tests.support.constants import PATIENCE

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = f"callers_mcp-{callers_mcp.__version__}"
WHEEL, SDIST, BUNDLE = f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz", "callers-mcp.mcpb"


def released(copy: Path, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [copy / ".ci/release"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE,
        env=os.environ | {"PYTHON": python},
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an sdist holds, without git."""
    copy = tmp_path_factory.mktemp("release")
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in [*listed, "/pyproject.toml", "/README.md", "/LICENSE", "/.gitignore"]:
        source, target = ROOT / name[1:], copy / name[1:]
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return copy


@pytest.fixture(scope="module")
def release(copy: Path) -> str:
    """Release once, and return what the command said."""
    done = released(copy, sys.executable)
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_release_is_wheel_sdist_bundle_and_their_sums(copy: Path, release: str) -> None:
    dist = copy / "dist"
    assert {file.name for file in dist.iterdir()} == {WHEEL, SDIST, BUNDLE, "SHA256SUMS"}
    sums = (dist / "SHA256SUMS").read_text()
    expected = [
        f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n" for name in (BUNDLE, WHEEL, SDIST)
    ]
    assert sums == "".join(expected)
    assert release.endswith(sums)


def test_a_release_was_checked(release: str) -> None:
    assert release.count("PASSED") == 2
    assert f"{WHEEL}: OK" in release


def test_a_release_brings_the_registry_s_entry_up_to_date_before_it_is_packed(copy: Path, release: str) -> None:
    maker = runpy.run_path(str(copy / ".ci/bundle.py"))
    sha256 = hashlib.sha256((copy / "dist" / BUNDLE).read_bytes()).hexdigest()
    assert (copy / "server.json").read_text() == maker["registry_entry"](sha256)
    with tarfile.open(copy / "dist" / SDIST) as sdist:
        packed = sdist.extractfile(f"{NAME}/server.json")
        assert packed
        assert packed.read() == (copy / "server.json").read_bytes()


def test_wheel_and_bundle_hold_the_same_package(copy: Path, release: str) -> None:
    def package(archive: str) -> dict[str, bytes]:
        with zipfile.ZipFile(copy / "dist" / archive) as zipped:
            return {name: zipped.read(name) for name in zipped.namelist() if name.startswith("callers_mcp/")}

    assert package(WHEEL) == package(BUNDLE)


def test_the_sdist_holds_what_tests_and_release_need(copy: Path, release: str) -> None:
    with tarfile.open(copy / "dist" / SDIST) as sdist:
        held = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}
    needed = {file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()}
    needed = {name for name in needed if not name.startswith("dist/") and "__pycache__" not in name}
    assert held == needed | {"PKG-INFO"}


def test_a_python_without_the_tools_is_told_how_to_get_them(copy: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=PATIENCE)
    done = released(copy, str(tmp_path / "bare/bin/python"))
    assert done.returncode == 1
    assert "pip install -e '.[test]'" in done.stderr
