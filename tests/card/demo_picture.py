"""Takes the README's picture of the demo from a terminal: ``python -m tests.card.demo_picture docs/demo.png``."""

import html
import re
import sys
from pathlib import Path

import anyio

from tests.support.card_browser import chromium
from tests.support.terminal import terminal

LINES = 27
"""As many as one terminal shows: the search by name, and the first campaign whole."""

PAGE = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 14px 18px; background: #16181d; color: #d7dae0; width: max-content;
       font: 13px/1.5 "DejaVu Sans Mono", monospace; }
pre { margin: 0; font: inherit; } b { color: #fff; } i { font-style: normal; color: #8a919e; } u { color: #ff8a80; }
.typed { color: #7ee2a8; }
</style><pre><span class="typed">$ callers-mcp demo</span>
%s</pre>"""
MARKS = {"1": "b", "2": "i", "31": "u"}  # bold, dim, red


def as_html(shown: str) -> str:
    """Return a terminal's text as HTML."""
    parts = re.split(r"\x1b\[(\d+)m", shown)
    made, opened = [html.escape(parts[0])], ""
    for code, text in zip(parts[1::2], parts[2::2], strict=True):
        made.append(f"</{opened}>" if opened else "")
        opened = MARKS.get(code, "")
        made.append((f"<{opened}>" if opened else "") + html.escape(text))
    return "".join(made)


async def main(file: Path) -> None:
    with terminal("demo", environment={"COLUMNS": "120"}) as shell:
        shown = shell.read_until("Support line").replace("\r", "")
    shown = shown.replace(str(Path(sys.executable).with_name("callers-mcp")), ".venv/bin/callers-mcp")
    lines = [line if len(line) < 130 else line[:120] + "..." for line in shown.splitlines()[:LINES]]
    async with chromium() as browser:
        page = await browser.new_page(device_scale_factor=1.5)
        await page.set_content(PAGE % as_html("\n".join(lines)))
        await page.locator("body").screenshot(path=file)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
