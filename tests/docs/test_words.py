"""The texts of the project use everyday words: in code, documents, messages and names of tests."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "callers_mcp", "docs", "examples", "tests")
SUFFIXES = {".py", ".md", ".toml", ".html", ".js", ".mjs", ".css"}
WITHOUT_SUFFIX = (".ci/", "examples/hosting/")
"""Folders in which every file is text of the project, whatever its suffix."""

DATA = ("tests/data/", "tests/snapshots/")
"""Folders with texts of others, and with output that other tests compare."""

EXCEPTIONS = {
    "tests/docs/test_words.py": "it holds the list of words",
}
"""Files that are not searched, each with the reason."""

WORDS = {
    # Where a word begins and ends; an underscore ends it too, so that the names of tests are searched.
    name: re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", flags)
    for name, pattern, flags in (
        ("anew, for again", "anew", re.IGNORECASE),
        ("nobody, for no user or no caller", "nobody", re.IGNORECASE),
        ("whoever, for anyone who", "whoever", re.IGNORECASE),
        ("mend, for fix", "mend(?:s|ed|ing)?", re.IGNORECASE),
        # Python's "is None" is not meant, nor "there is none", nor the value of a setting.
        ("is none, for is not a", r"(?<![Tt]here )(?<!_AUTH )is[ _]none", re.NOFLAG),
        # A function of this name, and to leave something alone, are not meant.
        ("alone, for only", r"(?<!left[ _])(?<!leave it )(?<!leaves it )alone(?!\()", re.IGNORECASE),
        ("no more, for no longer", r"no more(?= *(?:$|[^\w `(\[<{-]))", re.IGNORECASE),
    )
}
"""What to search for, by the word and what to write in its place."""


def tracked() -> list[str]:
    """Return the files of the project by git, or all files of its folders if git does not know the project."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
        names = done.stdout.rstrip("\0").split("\0") if done.returncode == 0 and done.stdout else []
    except FileNotFoundError:
        names = []
    return [name for name in names if (ROOT / name).is_file()] or [
        file.relative_to(ROOT).as_posix()
        for start in (ROOT.glob("*"), *((ROOT / folder).rglob("*") for folder in FOLDERS))
        for file in start
        if file.is_file()
    ]


def is_text(name: str) -> bool:
    is_searched = Path(name).suffix in SUFFIXES or name.startswith(WITHOUT_SUFFIX)
    return is_searched and not name.startswith(DATA) and "__pycache__" not in name and name not in EXCEPTIONS


@cache
def texts() -> dict[str, str]:
    """Return the texts to search, by the names of their files."""
    return {name: (ROOT / name).read_text("utf-8") for name in sorted(tracked()) if is_text(name)}


def found(pattern: re.Pattern[str]) -> Iterator[str]:
    """Return each line that matches, with its file and number."""
    for name, text in texts().items():
        if pattern.search(text):
            for number, line in enumerate(text.split("\n"), 1):
                if pattern.search(line):
                    yield f"{name}:{number}: {line.strip()}"


@pytest.mark.parametrize("word", WORDS)
def test_no_text_uses_a_word_that_has_an_everyday_equivalent(word: str) -> None:
    if lines := list(found(WORDS[word])):
        pytest.fail(f"{len(lines)} lines with {word}:\n" + "\n".join(lines), pytrace=False)


def test_the_search_covers_code_documents_and_tests() -> None:
    names = set(texts())
    assert {"README.md", "pyproject.toml", ".ci/release", "callers_mcp/__init__.py", "tests/conftest.py"} <= names
    assert {
        "callers_mcp/server/card/card.html",
        "callers_mcp/server/card/card.js",
        "examples/hosting/nginx.conf",
    } <= names
    assert not names & EXCEPTIONS.keys()


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Nobody mends it anew.", 3),
        ("def test_nobody_is_let_in() -> None:", 1),
        ("Amended, recommended, as Python's None is None.", 0),
        ("What is none of these; Whoever", 2),
        ("where there is none; CALLERS_HTTP_AUTH is none:", 0),
        ("It goes to stderr alone.", 1),
        ("asymmetric ones alone (RS256)", 1),
        ("for its user alone", 1),
        ("def test_the_key_alone_is_secret() -> None:", 1),
        ("a file that can't be read is left alone; alone(element)", 0),
        ("It is there no more.", 1),
        ("no more than 40; no more campaigns", 0),
    ],
)
def test_only_what_is_meant_is_found(line: str, count: int) -> None:
    assert sum(len(pattern.findall(line)) for pattern in WORDS.values()) == count


def test_without_git_the_same_files_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    by_git = {name for name in tracked() if is_text(name)}
    monkeypatch.setenv("PATH", "")
    assert by_git <= {name for name in tracked() if is_text(name)}
