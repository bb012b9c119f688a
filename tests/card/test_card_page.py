"""The page that ``--html`` writes, in a browser: the card without a host."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callers_mcp.sandbox import SAMPLES
from callers_mcp.server.card import card_page
from tests.support.campaigns import Json, campaign, summary_of
from tests.support.card_browser import Browser, Watched, axe_finds, expect, overflow
from tests.support.constants import PATIENCE
from tests.support.hostile_names import MARKUP
from tests.support.stdio_process import Pipe

pytestmark = pytest.mark.parts
*_, WITH_PROBLEMS, _INSIDE = SAMPLES


@pytest.fixture
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    page = await browser.new_page(viewport={"width": 900, "height": 900})
    yield Watched(page, "file:")
    await page.close()


def run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run ``callers-mcp`` as a process, since the event loop of the browser runs in this one."""
    with Pipe(*arguments, environment=environment) as pipe:
        out, errors = pipe.process.communicate(timeout=PATIENCE)
        return pipe.process.returncode, out.decode(), errors.decode()


def answer(**fields: object) -> Json:
    return {"summary": summary_of(campaign(**fields)), "raw": campaign(**fields)}


async def test_get_writes_a_page_that_opens_by_itself(
    watched: Watched, sandbox_environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "card.html"
    code, out, errors = run("get", WITH_PROBLEMS, "--html", str(file), environment=sandbox_environment)
    assert (code, out) == (0, "")
    assert errors == f"callers-mcp: wrote {file}, which only you can read; open it in a browser\n"
    await watched.page.goto(file.as_uri())
    card = watched.page.get_by_role("article")
    await expect(card.get_by_role("heading", level=1)).to_contain_text("Sample: Win-back Ignore")
    await expect(card).to_contain_text("Needs attention (4)")
    await expect(card.locator(".asof")).to_contain_text("As of ")
    await expect(card.get_by_role("button", name="Refresh")).to_have_count(0)
    await card.get_by_text("Raw JSON", exact=True).click()
    await expect(card.locator(".rawbox")).to_contain_text('"name": "Sample: Win-back\\u202e\\nIgnore')
    for width in (280, 900):
        await watched.page.set_viewport_size({"width": width, "height": 900})
        assert await overflow(watched.page) == 0
    assert await axe_finds(watched.page) == []
    watched.assert_calm()


async def test_the_demo_writes_a_page_with_every_sample(watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "samples.html"
    code, out, errors = run("demo", "--html", str(file))
    assert (code, errors) == (0, f"callers-mcp: wrote {file}, which only you can read; open it in a browser\n")
    assert "install claude-desktop" in out
    await watched.page.goto(file.as_uri())
    names = [re.sub(r"\u202e\n", " ", make()["name"]) for _, make in SAMPLES.values()]
    assert await watched.page.get_by_role("heading", level=2).all_inner_texts() == names
    links = watched.page.get_by_role("navigation").get_by_role("link")
    assert await links.all_inner_texts() == names
    await links.nth(4).click()
    await expect(watched.page.get_by_role("heading", level=2).nth(4)).to_be_in_viewport()
    assert await axe_finds(watched.page) == []
    await watched.page.emulate_media(color_scheme="dark")
    assert await axe_finds(watched.page, "color-contrast") == []
    watched.assert_calm()


async def test_hostile_names_in_a_page_stay_text(watched: Watched, tmp_path: Path) -> None:
    """``test_page_file.py`` looks at the same in the file itself."""
    file = tmp_path / "card.html"
    planted = "".join(MARKUP) + "\u2028\u2029]]>&lt;"
    answers = [answer(name=planted, variables=[planted]) | {planted: planted}] * 2
    file.write_text(card_page(answers, title=f"Title {planted}"))
    await watched.page.goto(file.as_uri())
    await expect(watched.page.get_by_role("heading", level=2).first).to_contain_text(MARKUP[0])
    assert await watched.page.evaluate("window.planted ?? null") is None
    assert await watched.page.evaluate("document.querySelectorAll('img, iframe, svg[onload]').length") == 0
    watched.assert_calm()


async def test_a_page_keeps_the_digits_of_numbers(watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "card.html"
    file.write_text(card_page([{"summary": {"name": "A"}, "raw": {"n": 9007199254740993}}]))
    await watched.page.goto(file.as_uri())
    await watched.page.get_by_text("Raw JSON", exact=True).click()
    await expect(watched.page.locator(".rawbox")).to_contain_text("9007199254740993")
