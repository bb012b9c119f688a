"""One command builds a release, builds it again with the same bytes, checks it, and writes its checksums."""

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import callers_mcp
from tests.support.build_once import build_once
from tests.support.constants import PATIENCE

pytestmark = pytest.mark.slow
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


def fill(folder: Path) -> None:
    """Copy the files of an sdist to a folder, without git."""
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in [*included, "/pyproject.toml", "/README.md", "/LICENSE", "/.gitignore"]:
        source, target = ROOT / name[1:], folder / name[1:]
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


@dataclass(frozen=True)
class Release:
    """The result of one run of the command.

    Attributes:
        copy: The folder of the project, with ``dist`` in it.
        output: The stdout of the command.
    """

    copy: Path
    output: str


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Release:
    """A release, built once."""

    def build(folder: Path) -> None:
        copy = folder / "copy"
        fill(copy)
        done = released(copy, sys.executable)
        if "No matching distribution found for hatchling" in done.stderr:
            pytest.skip("pip reaches no package index")
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "output").write_text(done.stdout)

    folder = build_once("release", build, tmp_path_factory, worker_id)
    return Release(folder / "copy", (folder / "output").read_text())


def test_a_release_is_a_wheel_an_sdist_a_bundle_and_their_checksums(release: Release) -> None:
    dist = release.copy / "dist"
    assert {file.name for file in dist.iterdir()} == {WHEEL, SDIST, BUNDLE, "SHA256SUMS"}
    sums = (dist / "SHA256SUMS").read_text()
    expected = [
        f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n" for name in (BUNDLE, WHEEL, SDIST)
    ]
    assert sums == "".join(expected)
    assert release.output.endswith(sums)


def test_a_release_was_checked(release: Release) -> None:
    assert release.output.count("PASSED") == 2
    assert f"{WHEEL}: OK" in release.output


def test_a_release_updates_the_entry_for_the_registry_before_it_is_packed(release: Release) -> None:
    script = runpy.run_path(str(release.copy / ".ci/bundle.py"))
    sha256 = hashlib.sha256((release.copy / "dist" / BUNDLE).read_bytes()).hexdigest()
    assert (release.copy / "server.json").read_text() == script["registry_entry"](sha256)
    with tarfile.open(release.copy / "dist" / SDIST) as sdist:
        packed = sdist.extractfile(f"{NAME}/server.json")
        assert packed
        assert packed.read() == (release.copy / "server.json").read_bytes()


def test_wheel_and_bundle_contain_the_same_package(release: Release) -> None:
    def package(archive: str) -> dict[str, bytes]:
        with zipfile.ZipFile(release.copy / "dist" / archive) as zipped:
            return {name: zipped.read(name) for name in zipped.namelist() if name.startswith("callers_mcp/")}

    assert package(WHEEL) == package(BUNDLE)


def test_the_sdist_contains_all_files_that_tests_and_release_need(release: Release) -> None:
    with tarfile.open(release.copy / "dist" / SDIST) as sdist:
        packed = {member.name.removeprefix(f"{NAME}/") for member in sdist.getmembers() if member.isfile()}
    needed = {file.relative_to(release.copy).as_posix() for file in release.copy.rglob("*") if file.is_file()}
    needed = {name for name in needed if not name.startswith("dist/") and "__pycache__" not in name}
    assert packed == needed | {"PKG-INFO"}


def test_a_python_without_the_needed_packages_is_reported_with_the_command_to_install_them(tmp_path: Path) -> None:
    fill(tmp_path / "copy")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=PATIENCE)
    done = released(tmp_path / "copy", str(tmp_path / "bare/bin/python"))
    assert done.returncode == 1
    assert "pip install -e '.[test]'" in done.stderr
