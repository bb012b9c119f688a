"""How a person starts and installs this program here: messages name commands that work where they are printed."""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_ROOT = Path(__file__).parents[2]


def program() -> str:
    """Return the words that start this program: its name if the shell finds it, else its path, or ``uvx``."""
    from callers_mcp.install.entry import is_ephemeral, server_command
    from callers_mcp.install.plan import quote_command

    command, *arguments = server_command()
    if is_ephemeral():
        command, arguments = "uvx", ["--from", _source(), "callers-mcp"]
    elif (found := shutil.which("callers-mcp")) and Path(found).resolve() == Path(command).resolve():
        command = "callers-mcp"
    return quote_command([command, *arguments])


def install_command(extra: str = "") -> str:
    """Return the command that installs this package permanently, from where it was installed.

    Args:
        extra: The extra to install with it, in brackets.
    """
    from callers_mcp.install.entry import is_ephemeral
    from callers_mcp.install.plan import quote_command

    if "pipx" in sys.prefix:
        installer = ["pipx", "install", "--force"]
    elif is_ephemeral() or Path(sys.prefix, "uv-receipt.toml").exists():
        installer = ["uv", "tool", "install"]
    elif find_spec("pip"):
        installer = [sys.executable, "-m", "pip", "install"]
    else:
        installer = ["uv", "pip", "install", "--python", sys.executable]
    return quote_command([*installer, _source(extra)])


def _source(extra: str = "") -> str:
    """Return what an installer takes for this package: the folder, file or repository it is from, or else its name.

    Source: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = json.loads(distribution("callers-mcp").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:  # a checkout that is not installed
        origin = {"url": _ROOT.as_uri()} if (_ROOT / "pyproject.toml").exists() else {}
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        path = Path(url2pathname(urlsplit(url).path))
        return f"{'.' if path == Path.cwd() else path}{extra}"
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"callers-mcp{extra} @ {url}" if url else f"callers-mcp{extra}"
