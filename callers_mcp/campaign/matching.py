"""Find campaigns by name: case, accents, word order and small misspellings do not matter.

Names in all scripts work. Folding removes case, compatibility forms (full width, ligatures) and the marks that people
leave out when they type (accents, Arabic and Hebrew vowel points). It keeps the marks that make another letter in
Devanagari, Thai or kana.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import islice
from typing import Generic, NamedTuple, Protocol, TypeVar

from callers_mcp.api.json_reader import stop_if_cancelled

MAX_SUGGESTIONS = 5
"""Names that are suggested if none matches."""

_MIN_FUZZY_LETTERS = 4  # of a word that may match inside another word, or misspelt
_MAX_FUZZY_LETTERS = 40  # of a word that may be misspelt: comparing a longer one takes many times as long
_MAX_STARTS = 20  # in a name, at which a misspelt word is searched
_MAX_TAILS = 40_000  # different texts at these starts; the newest campaigns come first
_CHECK_INTERVAL = 500  # items between two checks whether the caller still waits
MAX_FOLD_INPUT_CHARACTERS = 600
"""Characters of a text that are folded: one of them may become eighteen."""

_MAX_FOLDED_CHARACTERS = 120  # of a name or a query, after folding; only these are compared
_MAX_QUERY_WORDS = 12  # that are matched one by one
_MIN_COVERAGE = 0.3  # share of a query's letters that the words of a suggested name contain

_two_numbers = re.compile(r"\d \d")
_joinable_space = re.compile(r"(?<!\d) | (?!\d)")  # two numbers are never joined
_id_among_words = re.compile(r"(?<![0-9a-z])[0-9a-f]{24}(?![0-9a-z])")
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
ItemT = TypeVar("ItemT")


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
    return [item for _, item in NameSearch(items, query).matches()]


def suggest(items: Sequence[SearchableT], query: str) -> list[SearchableT]:
    """Return the few items whose names have most words of ``query``, or similar words; for a query without matches."""
    return NameSearch(items, query).suggestions()


class NameSearch(Generic[SearchableT]):
    """A search of items by name. The order of what it finds depends only on the items and the query.

    The time and the memory that it takes are limited, whatever the names and the query are: words beyond the first
    dozen, words inside very long names, and the misspellings in a list with very many different words are left out. In
    a worker thread of anyio, it ends soon after the task that waits for it is cancelled.

    Args:
        items: The items to search.
        query: Words of a name, or an id, which may be among other words.
    """

    def __init__(self, items: Sequence[SearchableT], query: str) -> None:
        self._items = items
        self._ids, words = {query.strip().lower(), *_id_among_words.findall(query.lower())}, fold(query).split()
        self._phrase, self._words = " ".join(words), list(dict.fromkeys(words[:_MAX_QUERY_WORDS]))
        # Words inside longer ones: compounds, and scripts without spaces.
        self._inner_words = self._words if all(map(_can_match_inside, self._words)) else ()
        # The phrase must begin at a word if the script has spaces; a number must match as a whole.
        self._begins_anywhere = bool(_unspaced.match(self._phrase)) or self._phrase[:1].isdigit()
        start = r"(?<!\d)" if self._phrase[:1].isdigit() else ""
        end = r"(?!\d)" if self._phrase[-1:].isdigit() else ""
        self._joined_phrase = re.compile(start + re.escape(_join_words(self._phrase)) + end)
        self._letters = self._phrase.replace(" ", "")

    def matches(self, accepts: Callable[[SearchableT], bool] = lambda item: True) -> Matches[SearchableT]:
        """Return the items that match and are accepted, the best first.

        Equal names come first, then names that begin with the query, then names with all its words in any order, then
        names that contain it anywhere. If there are none of these, names with slightly different spelling match. An id
        matches its campaign.
        """
        if not self._words:
            return []
        ranks: dict[int, int] = {}
        accepted: set[int] = set()
        for index in until_cancelled(range(len(self._items))):
            if accepts(item := self._items[index]):
                accepted.add(index)
                if (rank := self._rank(item)) is not None:
                    ranks[index] = rank
        if not ranks:
            distances = self._similar_words.values()
            ranks = {index: sum(each[index] for each in distances) for index in accepted.intersection(*distances)}
        return self._ranked(ranks)

    def suggestions(self) -> list[SearchableT]:
        """Return the few items whose names have most of the query's words, or similar words, the nearest first."""
        letters, scores = sum(map(len, self._words)), dict[int, int]()
        for word, distances in self._similar_words.items():
            for index, distance in distances.items():
                scores[index] = scores.get(index, 0) + len(word) - distance
        near = {index: round(100 * (1 - score / letters)) for index, score in scores.items()}
        ranks = {index: lack for index, lack in near.items() if scores[index] >= _MIN_COVERAGE * letters}
        return [item for _, item in self._ranked(ranks)[:MAX_SUGGESTIONS]]

    def _ranked(self, ranks: Mapping[int, int]) -> Matches[SearchableT]:
        from rapidfuzz.fuzz import ratio  # takes 20 ms, and no other tool needs it

        def key(index: int) -> SortKey:
            item = self._items[index]
            return SortKey(ranks[index], 100 - round(ratio(self._phrase, item.folded_name)), item.id or "")

        return ranked((key(index), self._items[index]) for index in until_cancelled(list(ranks)))

    def _rank(self, item: SearchableT) -> int | None:
        """Return the rank of an item that matches with the query's own spelling, or ``None`` if it does not match."""
        name = item.folded_name
        if name == self._phrase or (item.id and item.id.lower() in self._ids):
            return 0
        if name.startswith(self._phrase):
            return 1
        # The beginning of a word is enough: the user may still be typing.
        if all(name.startswith(word) or f" {word}" in name for word in self._words):
            return 2
        if self._inner_words and all(word in name for word in self._inner_words):
            return 3
        return 3 if self._letters in name.replace(" ", "") and self._has_phrase(name) else None

    def _has_phrase(self, name: str) -> bool:
        """Return whether the name contains the phrase, with or without its spaces, as in ``follow up``."""
        joined = _join_words(name)
        if self._begins_anywhere:
            return self._joined_phrase.search(joined) is not None
        return any(self._joined_phrase.match(joined, start) for start in _word_starts(name, joined))

    @cached_property
    def _similar_words(self) -> Mapping[str, Mapping[int, int]]:
        """For each word of the query: the indexes of the items with a similar word, and how many letters differ.

        A similar word begins with the query's word or similar letters. It may be written as several, as in ``follow
        up``. In a script without spaces it begins at any character.
        """
        width, unspaced = max(map(len, self._words), default=0) + 2, bool(_unspaced.search(self._phrase))
        tails: dict[str, list[int]] = {}
        ids = [(self._items[index].id or "", index) for index in until_cancelled(range(len(self._items)))]
        for _, index in until_cancelled(sorted(ids, reverse=True)):  # the newest first
            name = self._items[index].folded_name
            joined = _join_words(name)
            starts = [*islice(_word_starts(name, joined), _MAX_STARTS)]
            if unspaced:
                characters = islice(_unspaced.finditer(joined), _MAX_STARTS - len(starts))
                starts += [found.start() for found in characters]
            for tail in {joined[start : start + width] for start in starts}:
                tails.setdefault(tail, []).append(index)
            if len(tails) > _MAX_TAILS:
                break
        texts = list(tails)
        beginnings = cache(lambda length: [text[:length] for text in texts])
        similar: dict[str, dict[int, int]] = {}
        for word in until_cancelled(self._words, 1):
            by_distance: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
            for text, distance in _similar_texts(word, texts, beginnings):
                by_distance[distance].add(text)
            similar[word] = {}
            for distance in (2, 1, 0):  # the smallest is kept
                for text in by_distance[distance]:
                    similar[word].update(dict.fromkeys(tails[text], distance))
        return similar


def until_cancelled(items: Sequence[ItemT], interval: int = _CHECK_INTERVAL) -> Iterator[ItemT]:
    """Yield ``items``. In a worker thread, raise if the task that waits for the thread was cancelled."""
    for start in range(0, len(items), interval):
        stop_if_cancelled()
        yield from items[start : start + interval]


def _join_words(text: str) -> str:
    return _joinable_space.sub("", text) if _two_numbers.search(text) else text.replace(" ", "")


def _word_starts(name: str, joined: str) -> Iterator[int]:
    """Yield where each word of ``name`` begins in ``joined``."""
    start = 0
    for word in name.split():
        start = joined.index(word, start)
        yield start
        start += len(word)


def _can_match_inside(word: str) -> bool:
    return bool(_unspaced.search(word)) or (len(word) >= _MIN_FUZZY_LETTERS and not _has_digit(word))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _similar_texts(
    word: str, texts: Sequence[str], beginnings: Callable[[int], Sequence[str]]
) -> Iterator[tuple[str, int]]:
    """Yield the texts that begin with ``word`` or similar letters, and how many letters differ. A text may repeat."""
    letters = len(word)
    if not _MIN_FUZZY_LETTERS <= letters <= _MAX_FUZZY_LETTERS or _has_digit(word):
        yield from ((text, 0) for text in texts if text.startswith(word))
        return
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    allowed = 1 if letters < 8 or _unspaced.search(word) else 2
    for length in range(max(letters - allowed, _MIN_FUZZY_LETTERS), letters + allowed + 1):
        for _, distance, index in extract(
            word, beginnings(length), scorer=OSA.distance, score_cutoff=allowed, limit=None
        ):
            yield texts[index], int(distance)
