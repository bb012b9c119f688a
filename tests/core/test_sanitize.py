"""The cleaning of text, compared with Unicode's own database for every code point."""

import json
import sys

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from callers_mcp import sanitize as module
from callers_mcp.campaign.text import raw_text
from callers_mcp.sanitize import has_invisible, is_blank, plain_or_quoted, quote, replace_tags, sanitize, truncate
from tests.support.campaigns import Json
from tests.support.strategies import modest
from tests.support.text_grammar import outside_quotes

EVERY = "".join(map(chr, (*range(0xD800), *range(0xE000, sys.maxunicode + 1))))

CONTROLS = {*regex.findall(r"[\p{Cc}\p{Zl}\p{Zp}]", EVERY)}
TAGS = {chr(point) for point in range(0xE0000, 0xE0080)}
MAY_STAY = {"\u200c", "\u200d", "\ufe0e", "\ufe0f"}
DROPPED = {*regex.findall(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]", EVERY)}
EMOJI = {*regex.findall(r"\p{Emoji}", EVERY)} - {*"0123456789#*"}

ENGLAND, SCOTLAND, WALES = FLAGS = [
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
]
TEXAS = FLAGS[0].replace(
    "\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067", "\U000e0075\U000e0073\U000e0074\U000e0078"
)


def _cleaned(character: str) -> str:
    return sanitize(f"<{character}>")[1:-1]


def _named(characters: set[str]) -> list[str]:
    return sorted(f"U+{ord(character):04X}" for character in characters)


def test_every_control_and_line_break_becomes_a_space() -> None:
    assert _named({character for character in CONTROLS if _cleaned(character) != " "}) == []
    assert {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"} == CONTROLS


def test_every_invisible_or_direction_changing_character_is_dropped() -> None:
    assert _named({character for character in DROPPED if _cleaned(character) != ""}) == []


def _ranges(characters: set[str]) -> list[tuple[int, int]]:
    """Return the ranges of code points."""
    ranges: list[tuple[int, int]] = []
    for point in sorted(map(ord, characters)):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return ranges


def _class_of(characters: set[str]) -> str:
    """Return a regular expression's class of characters, without its brackets."""
    return "".join(
        chr(first) if first == last else chr(first) + ("-" if last > first + 1 else "") + chr(last)
        for first, last in _ranges(characters)
    )


def test_the_ranges_are_those_of_unicode() -> None:
    """If Unicode has new characters, this is what to write into ``sanitize.py``."""
    expected = _class_of(DROPPED - TAGS - MAY_STAY)
    assert expected.encode("ascii", "backslashreplace") == module._INVISIBLE.encode("ascii", "backslashreplace")


def test_every_emoji_is_a_symbol_and_no_letter_that_joins_is_invisible() -> None:
    assert _named({emoji for emoji in EMOJI if not regex.match(f"[{module._SYMBOLS}]", emoji)}) == []
    joining = {*regex.findall(f"[{module._JOINED}{module._SYMBOLS}]", EVERY)}
    assert _named(joining & (DROPPED | CONTROLS)) == []


JOINED = [
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\u0915\u094d\u200d\u0937",
    "\u0d28\u0d4d\u200d",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468",
    "\U0001f3f4\u200d\u2620\ufe0f",
    "1\ufe0f\u20e3",
    "\u2764\ufe0f \u260e\ufe0e",
]
HIDDEN = [
    *("a\u200cb", "a\u200db", "\u200c", "\u0633\u0644\u0627\u0645\u200c", "\u4e0a\u200d\u4e0b"),
    *("a\ufe0f", "1\ufe0f", "\u2764\ufe0f\ufe0f", "\u2764\ufe0e\ufe0f\ufe0e", "\ufe0e"),
    *("a\ufe0f\u200d\U0001f600", "\U0001f600\u200d", "\U0001f600\u200d\u200d\U0001f600", "\u0645\u200c\u200d\u06cc"),
    *("\u3164", "\uffa0a", "\u115f\u1160", "\u17b4", "\u034f", "\u180b", "\ufff0", "\U000e0fff"),
]


@pytest.mark.parametrize("text", JOINED, ids=ascii)
def test_a_joiner_or_selector_stays_where_it_joins_or_selects(text: str) -> None:
    assert sanitize(text) == text
    assert not has_invisible(text)
    assert raw_text({"text": text}) == f'{{"text":"{text}"}}'


@pytest.mark.parametrize("text", HIDDEN, ids=ascii)
def test_an_invisible_character_that_does_nothing_is_dropped_and_counts_as_hidden(text: str) -> None:
    assert len(sanitize(text)) < len(text)
    assert has_invisible(text)
    assert "\\u" in raw_text({"text": text})


@given(st.text(st.sampled_from([*"a1#*\u0645\u06cc\u070f\u094d\u2764\U0001f600\u20e3\u202e\n", *MAY_STAY])))
@modest
def test_what_is_cleaned_has_nothing_hidden_and_stays_as_it_is(text: str) -> None:
    assert not has_invisible(sanitize(text))
    assert sanitize(sanitize(text)) == sanitize(text)


@pytest.mark.parametrize(
    ("text", "blank"),
    [("", True), (" \u00a0\u3000", True), ("\u3164\u2800\u200b", True), ("\n", True), ("-", False), ("\u0301", False)],
    ids=ascii,
)
def test_a_text_in_which_people_see_nothing_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) is blank


def test_every_other_character_is_not_changed() -> None:
    others = "".join(character for character in EVERY if character not in CONTROLS and character not in DROPPED)
    is_untouched = sanitize(others) == others
    assert is_untouched, _named(set(others) - set(sanitize(others)))


def test_no_character_breaks_a_cleaned_line() -> None:
    assert len(sanitize(EVERY).splitlines()) == 1


def test_exactly_what_is_dropped_counts_as_hidden() -> None:
    assert _named({character for character in EVERY if has_invisible(character)} ^ DROPPED) == []


@pytest.mark.parametrize(
    "text",
    [
        "caf\u00e9 \u00df \u4f60\u597d \u0431\u0438\u0437\u043d\u0435\u0441",
        "  spaces \u00a0 and \u3000 more  ",
    ],
)
def test_ordinary_text_is_not_changed(text: str) -> None:
    assert sanitize(text) == text


@pytest.mark.parametrize("flag", FLAGS)
def test_a_registered_flag_does_not_count_as_hidden_text(flag: str) -> None:
    assert not has_invisible(f"a{flag}b")
    assert replace_tags(flag * 2) == (flag * 2, 0)
    assert sanitize(f"a{flag}b\u200b") == f"a{flag}b"


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("\U000e0041", "\ufffd"),
        (ENGLAND[1:], "\ufffd" * 6),
        (ENGLAND[:-1], "\U0001f3f4" + "\ufffd" * 5),
        (ENGLAND + "\U000e0041", ENGLAND + "\ufffd"),
        (TEXAS, "\U0001f3f4" + "\ufffd" * 5),
        ("\U000e0001a\U000e007f", "\ufffda\ufffd"),
    ],
)
def test_any_other_tag_is_replaced_and_counted(text: str, replaced: str) -> None:
    assert replace_tags(text) == (replaced, replaced.count("\ufffd"))
    assert has_invisible(text)


@pytest.mark.parametrize("hostile", ['"', "\\", '\\"', "\\\\", '"\\', "\n", "\u2028", "a" * 300 + '"', '"' * 300])
def test_quoted_text_cannot_leave_its_quotation_marks(hostile: str) -> None:
    for limit in (1, 2, 60, 120):
        quoted = quote(f"a{hostile}b{hostile}", limit)
        assert outside_quotes(quoted) == ""
        assert len(quoted.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "a b", "a\n", "a,b", "a;", "(a)", "-", "a.", 'a"', "\uff41", "x" * 41, "a\u200b"])
def test_only_a_plain_token_is_written_without_quotation_marks(text: str) -> None:
    assert plain_or_quoted(text) == quote(text, 60)
    assert plain_or_quoted("Europe/Berlin") == "Europe/Berlin"
    assert plain_or_quoted("+442071838750") == "+442071838750"


@pytest.mark.parametrize(
    ("text", "limit", "shortened"),
    [
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd\u2026"),
        ("a\u200b\u200b\u200bbcde", 5, "abcde"),
        ("a" + "\u200b" * 18 + "b", 5, "ab"),
        ("a" + "\u200b" * 100 + "b", 5, "a\u2026"),
        ("\u200b" * 10_000, 5, "\u2026"),
        (f"ab{ENGLAND}cd", 7, "ab\U0001f3f4\u2026"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627", 4, "\u0645\u06cc\u2026"),
    ],
)
def test_truncated_text_ends_with_an_ellipsis(text: str, limit: int, shortened: str) -> None:
    assert truncate(text, limit) == shortened


def test_quoted_text_has_at_most_120_characters() -> None:
    assert quote("a" * 120) == f'"{"a" * 120}"'
    assert quote("a" * 121) == f'"{"a" * 119}\u2026"'


def test_raw_text_shows_every_control_and_invisible_character_as_an_escape() -> None:
    shown = (CONTROLS | DROPPED) - TAGS
    raw: Json = {"text": "".join(sorted(shown)), "".join(sorted(shown)): 1}
    text = raw_text(raw)
    assert text.isascii()
    assert text.isprintable()


def test_raw_text_is_equal_in_value_over_every_character() -> None:
    raw: Json = {"text": EVERY, "nested": [{"\u202e\n": FLAGS, "\\u202e": '"\\'}, 1.5, None, True, 10**300]}
    assert json.loads(raw_text(raw)) == raw


def test_raw_text_leaves_visible_characters_readable() -> None:
    readable = ["\u06cc\u200c\u0647", "\u2764\ufe0f", *FLAGS, "caf\u00e9", "\U0001f468\u200d\U0001f469"]
    text = raw_text({"names": [*readable]})
    assert all(name in text for name in readable)
    assert "\\" not in text


def test_raw_text_is_compact() -> None:
    assert raw_text({"a": [1, {"b": None}], "c": "d e"}) == '{"a":[1,{"b":null}],"c":"d e"}'
