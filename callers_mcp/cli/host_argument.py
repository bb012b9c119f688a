"""The argument HOST of ``install``, ``uninstall`` and ``config``."""

import difflib
import re
from collections.abc import Collection
from typing import Any

import click
from click.shell_completion import CompletionItem

OTHER = "other"
"""The name at the command line for a host that is not in the registry."""


class HostType(click.ParamType[str]):
    """The name of a host in the registry, which is imported only if a command uses it.

    Case, spaces, hyphens and underscores don't matter.
    """

    name = "host"

    def __init__(self, *, other: bool = False) -> None:
        """Accept the name ``other`` too if ``other`` is set."""
        self._other = other

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the host's name in the registry, or fail with the names that may be meant."""
        from callers_mcp.install.registry import HOSTS

        names = {_plain(each): name for name, row in HOSTS.items() for each in (name, row.title, *row.aliases)}
        given = _plain(str(value))
        if self._other and given == OTHER:
            return OTHER
        if given not in names:
            candidates = _candidates(given, names) if given else []
            known = list(dict.fromkeys(names[each] for each in candidates))
            question = f"Did you mean {' or '.join(known)}?" if known else f"The hosts are {', '.join(HOSTS)}."
            self.fail(
                f"{value!r} is not a known host. {question} For another host: callers-mcp config other", param, ctx
            )
        return names[given]

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the hosts whose names begin with ``incomplete``."""
        from callers_mcp.install.registry import HOSTS

        return [CompletionItem(name, help=HOSTS[name].title) for name in HOSTS if name.startswith(incomplete)]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _candidates(given: str, names: Collection[str]) -> list[str]:
    """Return the names that contain the given one, or are contained in it; otherwise similar ones."""
    return [name for name in names if given in name or name in given] or difflib.get_close_matches(given, names)
