"""Takes the pictures in the documentation, of the card and of the demo: ``python -m tests.card.pictures docs``."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio

from callers_mcp.sandbox import SAMPLES
from tests.support.campaigns import Json
from tests.support.card_browser import Browser, Host, HostSite, chromium
from tests.support.fault_server import FaultServer, answer
from tests.support.terminal import terminal

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


async def picture_demo(browser: Browser, file: Path) -> None:
    """Take the demo from a terminal: the search by name, and the first campaign whole."""
    program = Path(sys.executable).with_name("callers-mcp")
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"  # so that the demo names the program without its folder
    with terminal("demo", environment={"COLUMNS": "120", "PATH": path}, stderr=subprocess.DEVNULL) as shell:
        shown = shell.read_until("config other").replace("\r", "").replace(str(program), "callers-mcp")
    page = await browser.new_page(device_scale_factor=1.5)
    await page.set_content(PAGE % as_html(shown.rstrip()))
    await page.locator("body").screenshot(path=file)


async def picture_card(browser: Browser, file: Path, theme: str, raw: Json) -> None:
    """Take the card of a campaign in a host with this theme."""
    page = await browser.new_page(viewport={"width": 760, "height": 900}, device_scale_factor=1.5)
    with HostSite() as site, FaultServer() as api:
        api.script(answer(raw))
        host = Host(page, site.url, None)
        await host.start()
        async with host.at(api, organization_id=None):
            card = await host.look_up(raw["id"], context={"theme": theme})
            await card.locator("body").screenshot(path=file)


async def main(folder: Path) -> None:
    healthy, hostile = (SAMPLES[f"665f1c2ab1e4a9d0c7f3b8{number}"][1]() for number in ("01", "05"))
    healthy["callParams"]["approvedCountries"] = []
    async with chromium() as browser:
        await picture_demo(browser, folder / "demo.png")
        for name, theme, raw in (
            ("card-light", "light", healthy),
            ("card-dark", "dark", healthy),
            ("card-problems", "light", hostile),
        ):
            await picture_card(browser, folder / f"{name}.png", theme, raw)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
