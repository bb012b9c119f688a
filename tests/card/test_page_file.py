"""``--html`` writes the card to a file: its mode, its content, and what happens if it can't be written."""

import json
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from callers_mcp.sandbox import SAMPLES
from callers_mcp.sanitize import ESCAPED
from callers_mcp.server.card import CARD_MIME_TYPE, CARD_URI, card_html, card_page
from tests.support.command_line import run
from tests.support.constants import PATIENCE, SAMPLE_ID
from tests.support.hostile_names import MARKUP
from tests.support.stdio_process import Pipe

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are a concept of POSIX")


def test_the_card_is_small_and_loads_nothing() -> None:
    html = card_html()
    assert (CARD_URI, CARD_MIME_TYPE) == ("ui://callers/campaign-card", "text/html;profile=mcp-app")
    assert len(html.encode()) < 40_000
    assert "{{" not in html
    assert html.count("://") == 1  # the namespace of SVG, which no browser loads
    assert "unsafe" not in html


@posix
def test_get_writes_a_page_that_only_its_user_can_read_even_over_a_file_that_others_could(
    sandbox_environment: dict[str, str], tmp_path: Path
) -> None:
    """By a process with the umask that opens most."""
    file = tmp_path / "card.html"
    file.write_text("old")
    file.chmod(0o666)
    before = os.umask(0)
    try:
        pipe = Pipe("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)
    finally:
        os.umask(before)
    with pipe:
        out, errors = pipe.process.communicate(timeout=PATIENCE)
    assert (pipe.process.returncode, out) == (0, b"")
    assert errors.decode() == f"callers-mcp: wrote {file}, which only you can read; open it in a browser\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_page_that_replaces_another_users_file_is_for_this_user_only(
    sandbox_environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "card.html"
    file.touch()
    os.chown(file, 1234, 2345)
    assert run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)[0] == 0
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600)


@posix
def test_a_page_replaces_a_link_and_not_what_it_names(sandbox_environment: dict[str, str], tmp_path: Path) -> None:
    """In a folder for all users, another one may have made it."""
    file, target = tmp_path / "card.html", tmp_path / "other"
    target.write_text("theirs")
    file.symlink_to(target)
    assert run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)[0] == 0
    assert (target.read_text(), file.is_symlink()) == ("theirs", False)


@pytest.mark.slow
def test_the_demo_writes_a_page_with_every_sample_and_still_prints(tmp_path: Path) -> None:
    file = tmp_path / "samples.html"
    code, out, errors = run("demo", "--html", str(file))
    assert (code, errors) == (0, f"callers-mcp: wrote {file}, which only you can read; open it in a browser\n")
    assert "install claude-desktop" in out
    assert all(campaign_id in file.read_text() for campaign_id in SAMPLES)


def test_the_page_obeys_redaction(sandbox_environment: dict[str, str], tmp_path: Path) -> None:
    file, secret = tmp_path / "card.html", "token=sample"
    run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment)
    assert secret in file.read_text()
    run("get", SAMPLE_ID, "--html", str(file), environment=sandbox_environment | {"CALLERS_REDACT_URLS": "on"})
    assert secret not in file.read_text()
    assert "https://hooks.example.com/[redacted]" in file.read_text()


def test_nothing_in_an_answer_leaves_the_script_element_that_holds_it() -> None:
    planted = "".join(MARKUP) + "\u2028\u2029]]>&lt;"
    answers = [{"summary": {"name": planted}, "raw": {"name": planted, "variables": [planted]}, planted: planted}] * 2
    page = card_page(answers, title=f"Title {planted}")
    (embedded,) = re.findall(r'<script type="application/json" id="answers">(.*)</script>\n', page)
    assert json.loads(embedded) == answers
    assert not set("<>&\u2028\u2029") & set(embedded)


@pytest.mark.parametrize("where", ["missing/card.html", "folder"])
def test_a_path_that_cannot_be_written_is_reported_in_one_line(
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


def test_the_script_finds_the_invisible_characters_that_the_server_finds() -> None:
    written = "".join(each if " " <= each <= "~" else f"\\u{{{ord(each):x}}}" for each in ESCAPED.pattern)
    assert written in card_html()
