"""Find campaigns by name: case, accents, word order and small misspellings do not matter.

Names in all scripts work. Folding removes case, compatibility forms (full width, ligatures) and the marks that people
leave out when they type (accents, Arabic and Hebrew vowel points). It keeps the marks that make another letter in
Devanagari, Thai or kana.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

MAX_SUGGESTIONS = 5
"""Names that are suggested if none matches."""

_MIN_FUZZY_LETTERS = 4  # of a word that may match inside another word, or misspelt
MAX_FOLD_INPUT_CHARACTERS = 600
"""Characters of a text that are folded: one of them may become eighteen."""

_MAX_FOLDED_CHARACTERS = 120  # of a name or a query, after folding; only these are compared
_MAX_QUERY_WORDS = 12  # that are matched one by one
_MIN_COVERAGE = 0.3  # share of a query's letters that the words of a suggested name contain

_not_word = re.compile(r"[^a-z0-9]+")
_dropped_marks = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670\ufe00-\ufe0f]")
# Thai, Lao, Burmese, Khmer, kana, Chinese characters: scripts without spaces between words.
_unspaced = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# Letters that people type without their stroke. Unicode does not treat the stroke as a mark.
_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


class Searchable(Protocol):
    """An item that can be found by its name."""

    @property
    def id(self) -> str | None:
        """The id; it orders items with equal names."""

    @property
    def folded_name(self) -> str:
        """The name, folded."""


SearchableT = TypeVar("SearchableT", bound=Searchable)


def fold(text: str) -> str:
    """Return the words of ``text`` in the form that is compared, separated by spaces; a long text is truncated."""
    text = text[:MAX_FOLD_INPUT_CHARACTERS]
    if text.isascii():
        words = _not_word.sub(" ", text.lower()).strip()
    else:
        stripped = _dropped_marks.sub("", unicodedata.normalize("NFKD", text).casefold())
        stripped = unicodedata.normalize(
            "NFKC", _dropped_marks.sub("", stripped[:MAX_FOLD_INPUT_CHARACTERS]).translate(_STROKES)
        )
        words = " ".join("".join(map(_fold_character, stripped)).split())
    return words[:_MAX_FOLDED_CHARACTERS].rstrip()


def _fold_character(character: str) -> str:
    """Return a letter as it is, a digit of any script as an ASCII digit, and a separator as a space."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    # Letters, marks and numbers; also symbols that people search for, such as an emoji newer than this Python.
    return character if category[0] in "LMN" or category in ("So", "Cn", "Co") else " "


class SortKey(NamedTuple):
    """The position of a match among the others.

    Attributes:
        rank: The kind of match, 0 is best.
        distance: How much the whole name differs from the query, 0 to 100.
        id: Orders matches that are otherwise equal. It begins with the creation time; the newest comes first.
    """

    rank: int
    distance: int
    id: str

    def sorts_before(self, other: "SortKey") -> bool:
        """Return whether this comes before ``other``."""
        return self[:2] < other[:2] or (self[:2] == other[:2] and self.id > other.id)


Matches = list[tuple[SortKey, SearchableT]]
"""The items found, in order."""


def ranked(matches: Iterable[tuple[SortKey, SearchableT]]) -> Matches[SearchableT]:
    """Return ``matches`` in the order in which they are shown."""
    newest_first = sorted(matches, key=lambda pair: pair[0].id, reverse=True)
    return sorted(newest_first, key=lambda pair: pair[0][:2])


def search(items: Sequence[SearchableT], query: str) -> list[SearchableT]:
    """Return the items whose name matches ``query``, the best first."""
    return [item for _, item in find_matches(items, query)]


def find_matches(items: Sequence[SearchableT], query: str) -> Matches[SearchableT]:
    """Return the items whose name matches ``query``, the best first. The order depends only on the items and the query.

    Equal names come first, then names that begin with the query, then names with all its words in any order, then names
    that contain it anywhere. If there are none of these, names with slightly different spelling match. An id matches
    its campaign.
    """
    query_id, words = query.strip().lower(), fold(query).split()
    if not words:
        return []
    phrase = " ".join(words)
    words = words[:_MAX_QUERY_WORDS]
    matcher = _SubstringMatcher(phrase, words)
    matches: list[tuple[int, SearchableT]] = []
    for item in items:
        rank = 0 if item.id and item.id.lower() == query_id else _rank(item.folded_name, phrase, words, matcher)
        if rank is not None:
            matches.append((rank, item))
    matches = matches or _fuzzy_matches(items, words)
    from rapidfuzz.fuzz import ratio  # takes 20 ms, and no other tool needs it

    return ranked(
        (SortKey(rank, 100 - round(ratio(phrase, item.folded_name)), item.id or ""), item) for rank, item in matches
    )


def suggest(items: Sequence[SearchableT], query: str) -> list[SearchableT]:
    """Return the few items whose names have most words of ``query``, or similar words; for a query without matches."""
    words, word_index = fold(query).split()[:_MAX_QUERY_WORDS], _word_index(enumerate(items))
    letters = sum(map(len, words))
    scores: dict[int, float] = {}
    for word in words:
        parts: dict[int, int] = {}
        for part, distance in _fuzzy_words(word, list(word_index)):
            for index in word_index[part]:
                parts[index] = min(distance, parts.get(index, distance))
        for index, distance in parts.items():
            scores[index] = scores.get(index, 0.0) + len(word) - distance
    from rapidfuzz.fuzz import ratio

    phrase = " ".join(words)
    missing = ((items[index], 1 - score / letters) for index, score in scores.items())
    suggestions = ranked(
        (SortKey(round(100 * lack), 100 - round(ratio(phrase, item.folded_name)), item.id or ""), item)
        for item, lack in missing
        if lack <= 1 - _MIN_COVERAGE
    )
    return [item for _, item in suggestions[:MAX_SUGGESTIONS]]


def _rank(folded_name: str, phrase: str, words: Sequence[str], matcher: "_SubstringMatcher") -> int | None:
    """Return the rank of a name that matches with the query's own spelling, or ``None`` if it does not match."""
    if folded_name == phrase:
        return 0
    if folded_name.startswith(phrase):
        return 1
    # The beginning of a word is enough: the user may still be typing.
    if all(folded_name.startswith(word) or f" {word}" in folded_name for word in words):
        return 2
    return 3 if matcher.matches(folded_name) else None


class _SubstringMatcher:
    """Matches text inside a name, not only at the beginning of its words."""

    def __init__(self, phrase: str, words: Sequence[str]) -> None:
        # The phrase must begin at a word if the script has spaces; a number must match as a whole.
        start = r"(?<!\d)" if phrase[0].isdigit() else "" if _unspaced.match(phrase) else r"(?<!\S)"
        end = r"(?!\d)" if phrase[-1].isdigit() else ""
        self._phrase = re.compile(start + _space_tolerant_pattern(phrase) + end)
        # Words inside longer ones: compounds, and scripts without spaces.
        self._words = words if all(_can_match_inside(word) for word in words) else ()

    def matches(self, folded_name: str) -> bool:
        if self._phrase.search(folded_name):
            return True
        return bool(self._words) and all(word in folded_name for word in self._words)


def _space_tolerant_pattern(phrase: str) -> str:
    """Return a pattern for a phrase with or without its spaces, as in ``follow up``; two numbers are never joined."""
    pattern, last, spaced = "", "", False
    for character in phrase:
        if character == " ":
            spaced = True
            continue
        if last.isdigit() and character.isdigit():
            pattern += " " if spaced else ""
        elif last:
            pattern += " ?"
        pattern += re.escape(character)
        last, spaced = character, False
    return pattern


def _can_match_inside(word: str) -> bool:
    return bool(_unspaced.search(word)) or (len(word) >= _MIN_FUZZY_LETTERS and not _has_digit(word))


def _fuzzy_matches(items: Sequence[SearchableT], words: Sequence[str]) -> list[tuple[int, SearchableT]]:
    """Return the items with a similar word for each of ``words``, each with the total number of letters that differ."""
    remaining = dict.fromkeys(range(len(items)), 0)
    for word in sorted(words, key=len, reverse=True):  # the longest word leaves the fewest items
        word_index = _word_index((index, items[index]) for index in remaining)
        distances: dict[int, int] = {}
        for part, distance in _fuzzy_words(word, list(word_index)):
            for index in word_index[part]:
                distances[index] = min(distance, distances.get(index, distance))
        remaining = {index: remaining[index] + distance for index, distance in distances.items()}
    return [(distance, items[index]) for index, distance in remaining.items()]


def _word_index(items: Iterable[tuple[int, Searchable]]) -> dict[str, list[int]]:
    """Return which items have each word. Each two neighbours also count as one word: some write ``followup``."""
    word_index: dict[str, list[int]] = {}
    for index, item in items:
        words = item.folded_name.split()
        # Two numbers are never joined.
        joined = (a + b for a, b in pairwise(words) if not (a[-1].isdigit() and b[0].isdigit()))
        for part in {*words, *joined}:
            word_index.setdefault(part, []).append(index)
    return word_index


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _fuzzy_words(word: str, parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the words that begin with ``word`` or similar letters, and how many letters differ. A word may repeat.

    In a script without spaces, ``word`` may be anywhere in them.
    """
    allowed = (
        0 if len(word) < _MIN_FUZZY_LETTERS or _has_digit(word) else 1 if len(word) < 8 or _unspaced.search(word) else 2
    )
    if not allowed:
        yield from ((part, 0) for part in parts if part.startswith(word))
        return
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    owners = tails = parts
    if _unspaced.search(word):
        # Two lists of strings: the garbage collector has to scan a list of pairs, and stops all other work meanwhile.
        owners, tails = [], []
        for part in parts:
            starts = [0, *(found.start() for found in _unspaced.finditer(part, 1))]
            owners += [part] * len(starts)
            tails += [part[index:] for index in starts]
    for length in {max(len(word) - 1, _MIN_FUZZY_LETTERS), len(word), len(word) + 1, None}:
        beginnings = [tail[:length] for tail in tails]
        for _, distance, index in extract(word, beginnings, scorer=OSA.distance, score_cutoff=allowed, limit=None):
            yield owners[index], int(distance)
