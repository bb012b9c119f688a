"""What would break on Windows or macOS, found in the code itself, so on any system."""

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "callers_mcp").rglob("*.py"), *(ROOT / "examples").glob("*.py")]

# The names of these modules that every system has, and that the code uses. Add one if Python's documentation does not
# limit it to some systems; another name needs a guard.
EVERYWHERE = {
    "os": "O_APPEND O_CREAT O_RDONLY O_RDWR O_WRONLY _exit close devnull dup dup2 environ fdopen fstat fsync getenv "
    "getpid name open path pathsep sep stat stat_result strerror urandom write",
    "signal": "SIGINT SIGTERM default_int_handler signal",
    "select": "select",
    "socket": "AF_INET AF_INET6 AddressFamily SOCK_STREAM create_server gaierror getaddrinfo socket",
}
POSIX_MODULES = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
GUARDS = ("sys.platform", "os.name", "hasattr(")


def parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def is_guarded(node: ast.AST, tree: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Return whether a condition or a handler of ImportError surrounds ``node``, or each use of its function."""
    while node in above:
        node = above[node]
        if isinstance(node, ast.If | ast.IfExp) and any(guard in ast.unparse(node.test) for guard in GUARDS):
            return True
        if isinstance(node, ast.Try) and any("ImportError" in ast.unparse(one.type or node) for one in node.handlers):
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name
            uses = [one for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id == name]
            return bool(uses) and all(is_guarded(use, tree, above) for use in uses)
    return False


def unguarded(source: str) -> Iterator[str]:
    """Yield the uses of what only POSIX has, outside of a guard."""
    tree = ast.parse(source)
    above = parents(tree)
    for node in ast.walk(tree):
        found = ""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in EVERYWHERE:
            found = "" if node.attr in EVERYWHERE[node.value.id].split() else ast.unparse(node)
        elif isinstance(node, ast.Import):
            found = ", ".join({one.name for one in node.names} & POSIX_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            found = node.module
        if found and not is_guarded(node, tree, above):
            yield f"{node.lineno}: {found}"  # type: ignore[attr-defined]


def without_encoding(source: str) -> Iterator[str]:
    """Yield the places where text is read or written in the encoding of the system."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else builtins.__name__
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        words = [ast.unparse(word) for word in node.args]
        binary = any("b" in word for word in [*words[-1:], given.get("mode", "")] if word[:1] == "'" and len(word) < 6)
        text = {
            "read_text": not words,
            "write_text": len(words) < 2,
            "open": owner != "os" and "_open" not in name and not binary and "os.devnull" not in words,
            "fdopen": not binary,
            "run": "text" in given or "universal_newlines" in given,
            "Popen": "text" in given or "universal_newlines" in given,
        }
        if text.get(name) and "encoding" not in given:
            yield f"{node.lineno}: {ast.unparse(node)[:80]}"


@pytest.mark.parametrize("find", [unguarded, without_encoding])
def test_the_code_uses_only_what_every_system_has(find: object) -> None:
    assert callable(find)
    assert not [f"{file.relative_to(ROOT)}:{each}" for file in FILES for each in find(file.read_text("utf-8"))]


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from pwd import getpwuid",
        "os.getuid()",
        "signal.SIGHUP",
        "def f():\n    os.fchown(1, 2, 3)\nf()",
        "if sys.argv:\n    import resource",
    ],
)
def test_the_scan_finds_what_only_posix_has(source: str) -> None:
    assert [*unguarded(source)]
    assert not [*unguarded("if sys.platform != 'win32':\n" + "\n".join(f"    {line}" for line in source.split("\n")))]


@pytest.mark.parametrize(
    "source",
    ["open(path)", "path.open('w')", "path.read_text()", "path.write_text(text)", "subprocess.run(a, text=True)"],
)
def test_the_scan_finds_text_without_an_encoding(source: str) -> None:
    assert [*without_encoding(source)]
    assert not [*without_encoding(f"{source[:-1]}, encoding='utf-8')".replace("(,", "("))]


def test_the_scan_accepts_bytes() -> None:
    assert not [*without_encoding("open(path, 'rb'); path.open('ab'); os.fdopen(1, 'wb'); subprocess.run(a)")]
