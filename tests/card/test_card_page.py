"""``--html``: the card as a page that opens by itself, and how the file is written."""

import json
import os
import re
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callers_mcp.sandbox import SAMPLES
from callers_mcp.server.card import card_page, write_page
from tests.card.browser import Browser, Watched, axe_finds, expect, overflow
from tests.support.campaigns import Json, campaign, summary_of
from tests.support.constants import PATIENCE
from tests.support.hostile_names import MARKUP
from tests.support.stdio_process import Pipe

pytestmark = pytest.mark.measured
SAMPLE_ID, *_, WITH_PROBLEMS, _INSIDE = SAMPLES
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


@pytest.fixture
async def watched(browser: Browser) -> AsyncIterator[Watched]:
    page = await browser.new_page(viewport={"width": 900, "height": 900})
    yield Watched(page, "file:")
    await page.close()


def run(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
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
    assert errors == f"callers-mcp: wrote {file}, readable for you alone; open it in a browser\n"
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


async def test_the_demo_writes_a_page_with_all_samples_besides_what_it_prints(watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "samples.html"
    code, out, errors = run("demo", "--html", str(file))
    assert (code, errors) == (0, f"callers-mcp: wrote {file}, readable for you alone; open it in a browser\n")
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


def test_the_page_obeys_redaction(sandbox_environment: dict[str, str], tmp_path: Path) -> None:
    file, secret = tmp_path / "card.html", "token=sample"
    run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)
    assert secret in file.read_text()
    run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment | {"CALLERS_REDACT_URLS": "on"})
    assert secret not in file.read_text()
    assert "https://hooks.example.com/[redacted]" in file.read_text()


@posix
def test_the_page_is_for_its_user_alone_even_over_a_file_that_was_not(
    sandbox_environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "card.html"
    file.write_text("old")
    file.chmod(0o666)
    assert run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_page_replaces_the_old_one_in_one_step_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "card.html"
    write_page(file, "old")
    held = file.open()
    write_page(file, "new")
    assert (held.read(), file.read_text()) == ("old", "new")
    held.close()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_page(file, "newer")
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("where", ["missing/card.html", "folder"])
def test_a_path_that_can_t_be_written_is_one_line(
    sandbox_environment: dict[str, str], tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    code, out, errors = run("get", SAMPLE_ID, "--html", str(tmp_path / where), environment=sandbox_environment)
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"callers-mcp: {tmp_path / where} can't be written: ")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize("form", ["--json", "--raw"])
def test_a_page_and_a_printed_form_exclude_each_other(tmp_path: Path, form: str) -> None:
    code, _, errors = run("get", SAMPLE_ID, form, "--html", str(tmp_path / "card.html"))
    assert (code, form in errors) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_look_up_leaves_no_page(sandbox_environment: dict[str, str], tmp_path: Path) -> None:
    code, _, _ = run("get", "0" * 24, "--html", str(tmp_path / "card.html"), environment=sandbox_environment)
    assert (code, list(tmp_path.iterdir())) == (1, [])


async def test_nothing_in_an_answer_leaves_the_place_where_it_is_embedded(watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "card.html"
    planted = "".join(MARKUP) + "\u2028\u2029]]>&lt;"
    answers = [answer(name=planted, variables=[planted]) | {planted: planted}] * 2
    write_page(file, card_page(answers, title=f"Title {planted}"))
    (embedded,) = re.findall(r'<script type="application/json" id="answers">(.*)</script>\n', file.read_text())
    assert json.loads(embedded) == answers
    assert not set("<>&\u2028\u2029") & set(embedded)
    await watched.page.goto(file.as_uri())
    await expect(watched.page.get_by_role("heading", level=2).first).to_contain_text(MARKUP[0])
    assert await watched.page.evaluate("window.planted ?? null") is None
    assert await watched.page.evaluate("document.querySelectorAll('img, iframe, svg[onload]').length") == 0
    watched.assert_calm()


async def test_a_page_keeps_the_digits_of_numbers(watched: Watched, tmp_path: Path) -> None:
    file = tmp_path / "card.html"
    write_page(file, card_page([{"summary": {"name": "A"}, "raw": {"n": 9007199254740993}}]))
    await watched.page.goto(file.as_uri())
    await watched.page.get_by_text("Raw JSON", exact=True).click()
    await expect(watched.page.locator(".rawbox")).to_contain_text("9007199254740993")


def test_a_pipe_is_refused_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no regular file"):
        write_page(pipe, "page")
    assert pipe.is_fifo()
