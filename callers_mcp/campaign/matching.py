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

NEAREST = 5
"""Names that are offered where none matches."""

_LONG = 4  # letters of a word that is looked for within others, or misspelt
LONGEST = 600
"""Characters of a text that are folded: one may stand for eighteen."""

_FOLDED = 120  # characters that are compared, of a name as of a query
_MOST_WORDS = 12  # of a query that are looked for one by one
_ENOUGH = 0.3  # of a query's letters that a name is to have, in its words, to be offered

_not_word = re.compile(r"[^a-z0-9]+")
_left_out = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670\ufe00-\ufe0f]")
# Thai, Lao, Burmese, Khmer, kana, Chinese characters: no space says where a word begins.
_unspaced = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# Letters that people type without their stroke, which is no mark to Unicode.
_STROKES = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


class Named(Protocol):
    """What can be found."""

    @property
    def id(self) -> str | None:
        """The id, which decides between equal names."""

    @property
    def folded(self) -> str:
        """The name, folded."""


NamedT = TypeVar("NamedT", bound=Named)


def fold(text: str) -> str:
    """Return the words of ``text`` for comparing, with a space between them; of a long text its beginning."""
    text = text[:LONGEST]
    if text.isascii():
        words = _not_word.sub(" ", text.lower()).strip()
    else:
        bare = _left_out.sub("", unicodedata.normalize("NFKD", text).casefold())
        bare = unicodedata.normalize("NFKC", _left_out.sub("", bare[:LONGEST]).translate(_STROKES))
        words = " ".join("".join(map(_in_words, bare)).split())
    return words[:_FOLDED].rstrip()


def _in_words(character: str) -> str:
    """Return what a character is among words: itself, a space, or for any script's digit the common one."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    # Letters, marks, numbers; and what somebody may look for as such: an emoji, also one that is new to this Python.
    return character if category[0] in "LMN" or category in ("So", "Cn", "Co") else " "


class Standing(NamedTuple):
    """Where something found stands among the others.

    Attributes:
        rank: In which way it fits, 0 is best.
        unlike: How unlike the whole name is, 0 to 100.
        id: Decides between those that fit alike: it begins with the time of making, and the newest comes first.
    """

    rank: int
    unlike: int
    id: str

    def comes_before(self, other: "Standing") -> bool:
        """Tell whether this stands before ``other``."""
        return self[:2] < other[:2] or (self[:2] == other[:2] and self.id > other.id)


Found = list[tuple[Standing, NamedT]]
"""What was found, in order."""


def in_order(found: Iterable[tuple[Standing, NamedT]]) -> Found[NamedT]:
    """Return ``found`` as it is to be shown."""
    newest_first = sorted(found, key=lambda pair: pair[0].id, reverse=True)
    return sorted(newest_first, key=lambda pair: pair[0][:2])


def search(named: Sequence[NamedT], query: str) -> list[NamedT]:
    """Return those whose name fits ``query``, the best first."""
    return [one for _, one in find(named, query)]


def find(named: Sequence[NamedT], query: str) -> Found[NamedT]:
    """Return those whose name fits ``query``, the best first, in an order that depends on nothing else.

    Exact names come first, then those that begin with it, then those with all its words in any order, then those that
    hold it anywhere; where there is none, those whose words are spelt a little differently. An id finds its campaign.
    """
    wanted, words = query.strip().lower(), fold(query).split()
    if not words:
        return []
    phrase = " ".join(words)
    words = words[:_MOST_WORDS]
    inside = _Inside(phrase, words)
    found: list[tuple[int, NamedT]] = []
    for one in named:
        rank = 0 if one.id and one.id.lower() == wanted else _rank(one.folded, phrase, words, inside)
        if rank is not None:
            found.append((rank, one))
    found = found or _misspelt(named, words)
    from rapidfuzz.fuzz import ratio  # 20 ms, which no other tool needs

    return in_order((Standing(rank, 100 - round(ratio(phrase, one.folded)), one.id or ""), one) for rank, one in found)


def nearest(named: Sequence[NamedT], query: str) -> list[NamedT]:
    """Return the few that have most of the words of ``query``, or words near to them, where none has all."""
    words, places = fold(query).split()[:_MOST_WORDS], _places(enumerate(named))
    letters = sum(map(len, words))
    scores: dict[int, float] = {}
    for word in words:
        parts: dict[int, int] = {}
        for part, distance in _near(word, list(places)):
            for at in places[part]:
                parts[at] = min(distance, parts.get(at, distance))
        for at, distance in parts.items():
            scores[at] = scores.get(at, 0.0) + len(word) - distance
    from rapidfuzz.fuzz import ratio

    phrase = " ".join(words)
    missing = ((named[at], 1 - score / letters) for at, score in scores.items())
    near = in_order(
        (Standing(round(100 * lack), 100 - round(ratio(phrase, one.folded)), one.id or ""), one)
        for one, lack in missing
        if lack <= 1 - _ENOUGH
    )
    return [one for _, one in near[:NEAREST]]


def _rank(folded: str, phrase: str, words: Sequence[str], inside: "_Inside") -> int | None:
    """Return how well a name fits that is spelt as asked for; ``None`` where it is not."""
    if folded == phrase:
        return 0
    if folded.startswith(phrase):
        return 1
    # A word's beginning is enough, as of what is still being typed.
    if all(folded.startswith(word) or f" {word}" in folded for word in words):
        return 2
    return 3 if inside.holds(folded) else None


class _Inside:
    """What a name may hold elsewhere than at the beginning of its words."""

    def __init__(self, phrase: str, words: Sequence[str]) -> None:
        # It begins where a word does, if the script has words; a number is held as a whole alone.
        start = r"(?<!\d)" if phrase[0].isdigit() else "" if _unspaced.match(phrase) else r"(?<!\S)"
        end = r"(?!\d)" if phrase[-1].isdigit() else ""
        self._phrase = re.compile(start + _with_other_spaces(phrase) + end)
        # Words within longer ones: compounds, and scripts without spaces.
        self._words = words if all(_may_be_within(word) for word in words) else ()

    def holds(self, folded: str) -> bool:
        if self._phrase.search(folded):
            return True
        return bool(self._words) and all(word in folded for word in self._words)


def _with_other_spaces(phrase: str) -> str:
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


def _may_be_within(word: str) -> bool:
    return bool(_unspaced.search(word)) or (len(word) >= _LONG and not _has_digit(word))


def _misspelt(named: Sequence[NamedT], words: Sequence[str]) -> list[tuple[int, NamedT]]:
    """Return those that have a word near to each of ``words``, with how many letters differ in all."""
    left = dict.fromkeys(range(len(named)), 0)
    for word in sorted(words, key=len, reverse=True):  # the longest leaves the fewest
        places = _places((at, named[at]) for at in left)
        distances: dict[int, int] = {}
        for part, distance in _near(word, list(places)):
            for at in places[part]:
                distances[at] = min(distance, distances.get(at, distance))
        left = {at: left[at] + distance for at, distance in distances.items()}
    return [(distance, named[at]) for at, distance in left.items()]


def _places(named: Iterable[tuple[int, Named]]) -> dict[str, list[int]]:
    """Return in which names each word stands, and each two of them as one: people write ``follow up`` so and so."""
    places: dict[str, list[int]] = {}
    for at, one in named:
        words = one.folded.split()
        # Two numbers are never one.
        joined = (a + b for a, b in pairwise(words) if not (a[-1].isdigit() and b[0].isdigit()))
        for part in {*words, *joined}:
            places.setdefault(part, []).append(at)
    return places


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _near(word: str, parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Give the words that begin with about ``word``, and how many letters differ; one may come more than once.

    In a script without spaces it may stand anywhere in them.
    """
    allowed = 0 if len(word) < _LONG or _has_digit(word) else 1 if len(word) < 8 or _unspaced.search(word) else 2
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
            tails += [part[at:] for at in starts]
    for length in {max(len(word) - 1, _LONG), len(word), len(word) + 1, None}:
        beginnings = [tail[:length] for tail in tails]
        for _, distance, at in extract(word, beginnings, scorer=OSA.distance, score_cutoff=allowed, limit=None):
            yield owners[at], int(distance)
