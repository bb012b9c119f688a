"""Finding campaigns by name as people expect: case, accents, word order and small misspellings do not matter.

A name in any script works: what is folded away are case, compatibility forms (full width, ligatures) and the marks that
people leave out when they type (accents, Arabic and Hebrew vowel points), not the marks that make another letter in
Devanagari, Thai or kana.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

NEAREST = 5
"""Names that are offered where none matches."""

_MOST_WORDS = 12  # of a query that are looked for one by one
_ALIKE = 0.5  # of 1, how alike a word is to be in a name that is merely offered
_ALIKE_IN_ALL = 0.4  # of all words, those that are in no way alike included

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
    """Return the words of ``text`` for comparing, with a space between them."""
    if text.isascii():
        return _not_word.sub(" ", text.lower()).strip()
    bare = _left_out.sub("", unicodedata.normalize("NFKD", text).casefold())
    bare = unicodedata.normalize("NFKC", _left_out.sub("", bare).translate(_STROKES))
    words = "".join(character if _is_of_word(character) else " " for character in bare)
    return " ".join(words.split())


def _is_of_word(character: str) -> bool:
    # Letters, marks, numbers; and what somebody may look for as such: an emoji, also one that is new to this Python.
    return (category := unicodedata.category(character))[0] in "LMN" or category in ("So", "Cn", "Co")


def search(named: Sequence[NamedT], query: str) -> list[NamedT]:
    """Return those whose name fits ``query``, the best first, in an order that depends on nothing else.

    Exact names come first, then those that begin with it, then those with all its words in any order, then those that
    hold it anywhere; where there is none, those whose words are spelt a little differently. An id finds its campaign.
    """
    wanted = query.strip().lower()
    words = fold(query).split()
    if not words:
        return []
    phrase, run, words = " ".join(words), "".join(words), words[:_MOST_WORDS]
    found: list[tuple[int, NamedT]] = []
    for one in named:
        rank = 0 if one.id and one.id.lower() == wanted else _rank(one.folded, phrase, run, words)
        if rank is not None:
            found.append((rank, one))
    found = found or _misspelt(named, words)
    from rapidfuzz.fuzz import ratio  # 20 ms, which no other tool needs

    found.sort(key=lambda pair: (pair[0], -ratio(phrase, pair[1].folded), pair[1].folded, pair[1].id or ""))
    return [one for _, one in found]


def nearest(named: Sequence[NamedT], query: str) -> list[NamedT]:
    """Return the few whose words are nearest to those of ``query``, where none fits."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    words, places = fold(query).split()[:_MOST_WORDS], _places(enumerate(named))
    parts = list(places)
    scores: dict[int, float] = {}
    for word in words:
        alike: dict[int, float] = {}
        for part, similarity, _ in extract(
            word, parts, scorer=OSA.normalized_similarity, score_cutoff=_ALIKE, limit=None
        ):
            for at in places[part]:
                alike[at] = max(similarity, alike.get(at, 0.0))
        for at, similarity in alike.items():
            scores[at] = scores.get(at, 0.0) + similarity
    near = [(score, named[at]) for at, score in scores.items() if score >= _ALIKE_IN_ALL * len(words)]
    near.sort(key=lambda pair: (-pair[0], pair[1].folded, pair[1].id or ""))
    return [one for _, one in near[:NEAREST]]


def _rank(folded: str, phrase: str, run: str, words: Sequence[str]) -> int | None:
    """Return how well a name fits that is spelt as asked for; ``None`` where it is not."""
    if folded == phrase:
        return 0
    if folded.startswith(phrase):
        return 1
    # A word's beginning is enough, as of what is still being typed.
    if all(folded.startswith(word) or f" {word}" in folded for word in words):
        return 2
    if _has_digit(run):  # 22 is no part of "2, 2026"
        return None
    joined = folded.replace(" ", "")
    return 3 if run in joined or all(_unspaced.search(word) and word in joined for word in words) else None


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
    """Give the words that begin with about ``word``, and how many letters differ; one may come more than once."""
    allowed = 0 if len(word) < 4 or _has_digit(word) else 1 if len(word) < 8 else 2
    if not allowed:
        yield from ((part, 0) for part in parts if part.startswith(word))
        return
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    for length in (len(word) - 1, len(word), len(word) + 1, None):
        beginnings = [part[:length] for part in parts]
        for _, distance, at in extract(word, beginnings, scorer=OSA.distance, score_cutoff=allowed, limit=None):
            yield parts[at], int(distance)
