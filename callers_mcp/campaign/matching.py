"""Finding campaigns by name as people expect: case, accents, word order and small misspellings do not matter.

A name in any script works: what is folded away are case, compatibility forms (full width, ligatures) and the marks that
people leave out when they type (accents, Arabic and Hebrew vowel points), not the marks that make another letter in
Devanagari, Thai or kana.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

MAX_SUGGESTIONS = 5
"""Names that are offered where none matches."""

_MIN_FUZZY_LETTERS = 4  # of a word that is searched for inside others, or misspelt
MAX_FOLD_INPUT_CHARACTERS = 600
"""Characters of a text that are folded: one may stand for eighteen."""

_MAX_FOLDED_CHARACTERS = 120  # that are compared, of a name as of a query
_MAX_QUERY_WORDS = 12  # that are searched for one by one
_MIN_COVERAGE = 0.3  # of a query's letters that a name is to have, in its words, to be offered

_not_word = re.compile(r"[^a-z0-9]+")
_dropped_marks = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670\ufe00-\ufe0f]")
# Thai, Lao, Burmese, Khmer, kana, Chinese characters: no space says where a word begins.
_unspaced = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# Letters that people type without their stroke, which is no mark to Unicode.
_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


class Searchable(Protocol):
    """What can be found."""

    @property
    def id(self) -> str | None:
        """The id, which decides between equal names."""

    @property
    def folded_name(self) -> str:
        """The name, folded."""


SearchableT = TypeVar("SearchableT", bound=Searchable)


def fold(text: str) -> str:
    """Return the words of ``text`` for comparing, with a space between them; of a long text its beginning."""
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
    """Return what a character is among words: itself, a space, or for any script's digit the common one."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    # Letters, marks, numbers; and what somebody may look for as such: an emoji, also one that is new to this Python.
    return character if category[0] in "LMN" or category in ("So", "Cn", "Co") else " "


class SortKey(NamedTuple):
    """Where something found stands among the others.

    Attributes:
        rank: In which way it fits, 0 is best.
        distance: How unlike the whole name is, 0 to 100.
        id: Decides between those that fit alike: it begins with the time of making, and the newest comes first.
    """

    rank: int
    distance: int
    id: str

    def sorts_before(self, other: "SortKey") -> bool:
        """Tell whether this stands before ``other``."""
        return self[:2] < other[:2] or (self[:2] == other[:2] and self.id > other.id)


Matches = list[tuple[SortKey, SearchableT]]
"""What was found, in order."""


def ranked(matches: Iterable[tuple[SortKey, SearchableT]]) -> Matches[SearchableT]:
    """Return ``matches`` as it is to be shown."""
    newest_first = sorted(matches, key=lambda pair: pair[0].id, reverse=True)
    return sorted(newest_first, key=lambda pair: pair[0][:2])


def search(items: Sequence[SearchableT], query: str) -> list[SearchableT]:
    """Return those whose name fits ``query``, the best first."""
    return [item for _, item in find_matches(items, query)]


def find_matches(items: Sequence[SearchableT], query: str) -> Matches[SearchableT]:
    """Return those whose name fits ``query``, the best first, in an order that depends on nothing else.

    Exact names come first, then those that begin with it, then those with all its words in any order, then those that
    hold it anywhere; where there is none, those whose words are spelt a little differently. An id finds its campaign.
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
    from rapidfuzz.fuzz import ratio  # 20 ms, which no other tool needs

    return ranked(
        (SortKey(rank, 100 - round(ratio(phrase, item.folded_name)), item.id or ""), item) for rank, item in matches
    )


def suggest(items: Sequence[SearchableT], query: str) -> list[SearchableT]:
    """Return the few that have most of the words of ``query``, or words near to them, where none has all."""
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
    """Return how well a name fits that is spelt as asked for; ``None`` where it is not."""
    if folded_name == phrase:
        return 0
    if folded_name.startswith(phrase):
        return 1
    # A word's beginning is enough, as of what is still being typed.
    if all(folded_name.startswith(word) or f" {word}" in folded_name for word in words):
        return 2
    return 3 if matcher.matches(folded_name) else None


class _SubstringMatcher:
    """What a name may hold elsewhere than at the beginning of its words."""

    def __init__(self, phrase: str, words: Sequence[str]) -> None:
        # It begins where a word does, if the script has words; a number is held as a whole alone.
        start = r"(?<!\d)" if phrase[0].isdigit() else "" if _unspaced.match(phrase) else r"(?<!\S)"
        end = r"(?!\d)" if phrase[-1].isdigit() else ""
        self._phrase = re.compile(start + _space_tolerant_pattern(phrase) + end)
        # Words within longer ones: compounds, and scripts without spaces.
        self._words = words if all(_can_match_inside(word) for word in words) else ()

    def matches(self, folded_name: str) -> bool:
        if self._phrase.search(folded_name):
            return True
        return bool(self._words) and all(word in folded_name for word in self._words)


def _space_tolerant_pattern(phrase: str) -> str:
    """Return the pattern of a phrase with or without its spaces, ``follow up``; but two numbers are never one."""
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
    """Return those that have a word near to each of ``words``, with how many letters differ in all."""
    remaining = dict.fromkeys(range(len(items)), 0)
    for word in sorted(words, key=len, reverse=True):  # the longest leaves the fewest
        word_index = _word_index((index, items[index]) for index in remaining)
        distances: dict[int, int] = {}
        for part, distance in _fuzzy_words(word, list(word_index)):
            for index in word_index[part]:
                distances[index] = min(distance, distances.get(index, distance))
        remaining = {index: remaining[index] + distance for index, distance in distances.items()}
    return [(distance, items[index]) for index, distance in remaining.items()]


def _word_index(items: Iterable[tuple[int, Searchable]]) -> dict[str, list[int]]:
    """Return in which names each word stands, and each two of them as one: people write ``follow up`` so and so."""
    word_index: dict[str, list[int]] = {}
    for index, item in items:
        words = item.folded_name.split()
        # Two numbers are never one.
        joined = (a + b for a, b in pairwise(words) if not (a[-1].isdigit() and b[0].isdigit()))
        for part in {*words, *joined}:
            word_index.setdefault(part, []).append(index)
    return word_index


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _fuzzy_words(word: str, parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Give the words that begin with about ``word``, and how many letters differ; one may come more than once.

    In a script without spaces it may stand anywhere in them.
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
        # Two lists of texts: a list of pairs is work for the garbage collector, which holds all others up.
        owners, tails = [], []
        for part in parts:
            starts = [0, *(found.start() for found in _unspaced.finditer(part, 1))]
            owners += [part] * len(starts)
            tails += [part[index:] for index in starts]
    for length in {max(len(word) - 1, _MIN_FUZZY_LETTERS), len(word), len(word) + 1, None}:
        beginnings = [tail[:length] for tail in tails]
        for _, distance, index in extract(word, beginnings, scorer=OSA.distance, score_cutoff=allowed, limit=None):
            yield owners[index], int(distance)
