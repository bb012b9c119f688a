"""The order of what a search finds, the nearest names where it finds none, and what a search costs."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callers_mcp.campaign.matching import MAX_SUGGESTIONS, fold, search, suggest
from tests.support.name_search import Row, found, rows
from tests.support.strategies import modest


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=5))
@modest
def test_every_name_with_a_letter_finds_its_campaign_first(name: str, others: list[str]) -> None:
    hits = search(rows(*others, name), name)
    assert bool(hits) == bool(fold(name))
    assert not hits or hits[0].folded_name == fold(name)


def test_the_nearest_of_several_misspelt_names_comes_first() -> None:
    assert found("reminders", "Reminnderrs", "Remindors", "Remin") == ["Remindors", "Reminnderrs"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("leeds", ["Leeds", "Leeds recall", "Recall Leeds", "MiddLeeds"]),
        ("LEEDS", ["leeds", "Leedsbury", "Old Leeds", "Upleeds"]),
        ("spring renewals", ["Spring-Renewals", "Spring renewals, week 1", "Renewals of spring", "Offspring renewals"]),
        ("köln", ["Koln", "Köln Nord", "Rückruf Köln", "Neuköln"]),
        ("week 1", ["Week 1", "Week 1 (pilot)", "Week 12 (pilot)", "Leeds, week 1", "Leeds, week 14"]),
        ("上海", ["上海", "上海 续约", "续约 上海", "续约上海"]),
        ("a", ["a", "A b", "b a"]),
        ("follow up", ["Follow up", "Up and then follow the others", "A followup"]),
        ("nightshift", ["Nightshift", "Our night shift", "Midnightshifting for some"]),
    ],
)
def test_exact_names_come_before_prefixes_before_all_words_before_what_is_inside(query: str, names: list[str]) -> None:
    assert found(query, *reversed(names)) == found(query, *names) == names


def test_an_exact_name_comes_first_however_many_words_it_has() -> None:
    name = "Please do not edit, list for the north west of England and of Wales, wave {}"
    assert found(name.format("B"), *map(name.format, "ABC"))[0] == name.format("B")


IDS = ["665f1c2ab1e4a9d0c7f3b812", "665f1c2ab1e4a9d0c7f3b813"]


WITH_IDS = [
    Row(IDS[0], "Spring renewals", "spring renewals"),
    Row(IDS[1], f"Copy of {IDS[0]}", f"copy of {IDS[0]}"),
    Row("665f1c2ab1e4a9d0c7f3b814", f"{IDS[0]}, a copy", f"{IDS[0]} a copy"),
    Row(None, "No id", "no id"),
]


def test_an_id_finds_its_campaign_first() -> None:
    for typed in (IDS[0], IDS[0].upper(), f"  {IDS[0]}\n"):
        assert [row.name for row in search(WITH_IDS, typed)] == [
            "Spring renewals",
            f"{IDS[0]}, a copy",
            f"Copy of {IDS[0]}",
        ]
    assert [row.id for row in search(WITH_IDS, IDS[1])] == [IDS[1]]
    assert search(WITH_IDS, IDS[0][:-1] + "f") == []


def test_an_id_among_other_words_finds_its_campaign() -> None:
    for typed in (f"campaign {IDS[0]}", f"id:{IDS[0].upper()}?", f"Another name ({IDS[0]})"):
        assert [row.name for row in search(WITH_IDS, typed)] == ["Spring renewals"]
    assert search(WITH_IDS, f"x{IDS[0]}") == search(WITH_IDS, f"{IDS[0]}0") == []


words = st.sampled_from(["spring", "renewals", "Leeds", "leads", "follow-up", "Köln", "14", "15", "week", "上海", "🎉"])


phrases = st.lists(words, max_size=4).map(" ".join)


def ids(found: Sequence[Row]) -> list[str | None]:
    return [row.id for row in found]


@given(
    st.lists(phrases, max_size=12), phrases | st.sampled_from(["sprng", "leds week", "renewels", "xx"]), st.randoms()
)
@modest
@example(["spring renewals"] * 8 + ["Spring-Renewals"] * 4, "sprint rewinds", Random(1))
def test_the_order_does_not_depend_on_the_apis(names: list[str], query: str, random: Random) -> None:
    shuffled = rows(*names)
    random.shuffle(shuffled)
    assert ids(search(shuffled, query)) == ids(search(rows(*names), query))
    assert ids(suggest(shuffled, query)) == ids(suggest(rows(*names), query))


def test_of_equal_names_the_newest_comes_first() -> None:
    """An id begins with the time at which the campaign was made."""
    same = rows(*["Spring renewals"] * 20)
    newest_first = [*reversed(same)]
    for given_in in (same, newest_first):
        assert search(given_in, "spring") == newest_first
        assert suggest(given_in, "sprint rewinds") == newest_first[:MAX_SUGGESTIONS]


def test_the_nearest_names_are_few_and_the_best_comes_first() -> None:
    names = ["Autumn offers", "Spring renewals", "Spring rebates", "Zzz"]
    assert [row.name for row in suggest(rows(*names), "sprint renewings")][:2] == ["Spring renewals", "Spring rebates"]
    assert (
        len(suggest(rows(*(f"Spring renewals {number}" for number in range(50))), "sprint renewings"))
        == MAX_SUGGESTIONS
    )
    assert [row.name for row in suggest(rows(*names), "week 15")] == []
    assert [row.name for row in suggest(rows("Leeds week 15"), "week 14")] == ["Leeds week 15"]


def test_very_different_names_are_not_suggested() -> None:
    assert suggest(rows("Spring renewals", "Autumn offers"), "qqqq") == []


class Counted(str):
    """A folded name that counts how often it is looked into."""

    looks = 0

    def startswith(self, *arguments: Any) -> bool:
        Counted.looks += 1
        return super().startswith(*arguments)

    def __contains__(self, part: Any) -> bool:
        Counted.looks += 1
        return super().__contains__(part)

    def split(self, *arguments: Any) -> list[str]:
        Counted.looks += 1
        return super().split(*arguments)


LONGEST = 200


LONG_QUERIES = {
    "one letter": ("a " * LONGEST)[:LONGEST],
    "letters": (" ".join("abcdefghijklmnopqrstuvwxyz") * 4)[:LONGEST],
    "a word, misspelt": ("renewels " * 30)[:LONGEST],
    "words, misspelt": ("renewels sprong remindars " * 10)[:LONGEST],
    "one long word": "renewals" * (LONGEST // 8),
    "one letter without a space": "a" * LONGEST,
}


@pytest.mark.parametrize("query", LONG_QUERIES.values(), ids=[*LONG_QUERIES])
def test_a_long_query_costs_no_more_than_a_dozen_words(query: str) -> None:
    """Each name is looked into a few times a word, for a dozen words at most."""
    assert len(query) <= LONGEST
    names = ["a spring renewals reminders", "alpha beta", "abcdefghijklmnopqrstuvwxyz"]
    among = [Row(f"{number:024x}", name, Counted(fold(name))) for number, name in enumerate(names * 10)]
    Counted.looks = 0
    search(among, query)
    suggest(among, query)
    assert Counted.looks <= 4 * 12 * len(among)


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("Q2 renewals", "Renewals follow-up Leeds"),
        ("the gym", "Tideway gym reminders"),
        ("how is the spring renewal campaign", "Spring renewals"),
        ("winter qqqq survey", "Winter survey"),
    ],
)
def test_a_name_with_the_words_of_the_query_is_nearer_than_one_that_sounds_like_them(query: str, best: str) -> None:
    names = ["Quarterly referrals, week 2", "Thirteen gums", "Howling campaigners", "Wintar survey", best]
    assert suggest(rows(*names), query)[0].name == best
