"""Files and the output of other programs are read and written as UTF-8, whatever the locale says."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "callers_mcp"
TEXT_BY_DEFAULT = {"open": 1, "fdopen": 1, "read_text": 0, "write_text": 1, "NamedTemporaryFile": 0, "TextIOWrapper": 1}
"""Calls that use the encoding of the locale if none is given, and the position of the mode or encoding."""
WITH_MODE = {"open", "fdopen", "NamedTemporaryFile"}


def uses_the_locale(call: ast.Call) -> bool:
    """Return whether a call reads or writes text in an encoding that the locale chooses."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if "encoding" in given:
        return False
    if given.get("text") == "True" or given.get("universal_newlines") == "True":
        return True
    if name not in TEXT_BY_DEFAULT or ast.unparse(call.func) in ("os.open", "webbrowser.open"):
        return False
    is_method = name == "open" and isinstance(call.func, ast.Attribute)  # path.open(mode)
    position = TEXT_BY_DEFAULT[name] - is_method
    second = ast.unparse(call.args[position]) if len(call.args) > position else given.get("mode", "'r'")
    return "b" not in second if name in WITH_MODE else len(call.args) <= position


def test_each_file_of_the_package_names_its_encoding() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and uses_the_locale(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, 'rb')", False),
        ("open(path, 'w', encoding='utf-8')", False),
        ("path.open('a')", True),
        ("path.open('ab')", False),
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(content)", True),
        ("path.write_text(content, 'utf-8')", False),
        ("os.fdopen(number, 'w')", True),
        ("os.open(path, flags)", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, encoding='utf-8')", False),
    ],
)
def test_the_scan_finds_what_it_looks_for(code: str, expected: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert uses_the_locale(call) is expected
