"""Try clients with the server, and print the table of ``docs/agents.md``.

    python -m tests.clients            # all of them
    python -m tests.clients fastmcp    # some of them
    python -m tests.clients --write    # all of them, and write the table into docs/agents.md

What failed is on stderr, with the reason.
"""

import sys
import tempfile
from pathlib import Path

from tests.clients.clients import CLIENTS, COLUMNS, NotInstalled, row, run

DOCUMENT = Path(__file__).parents[2] / "docs/agents.md"


def main() -> None:
    """Run the command."""
    rows, missing = list[str](), list[str]()
    for name in [each for each in sys.argv[1:] if each != "--write"] or CLIENTS:
        for transport in CLIENTS[name].transports:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                try:
                    results = run(name, transport, Path(folder))
                except NotInstalled as error:
                    missing.append(name)
                    print(f"{name} is not installed here: {error}", file=sys.stderr)  # noqa: T201
                    continue
            rows.append(row(name, transport, results))
            for column in COLUMNS:
                if isinstance(reason := results.get(column), str):
                    print(f"{name}, {transport}, {column}: {reason}", file=sys.stderr)  # noqa: T201
            print(rows[-1], flush=True)  # noqa: T201
    if missing:
        sys.exit(f"No row for {', '.join(missing)}; nothing is written.")
    if "--write" in sys.argv:
        lines = DOCUMENT.read_text("utf-8").splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith("| client | version |")) + 2
        end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
        DOCUMENT.write_text("\n".join([*lines[:start], *rows, *lines[end:], ""]), "utf-8")


if __name__ == "__main__":
    main()
