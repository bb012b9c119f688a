"""A search does a bounded amount of work, whatever names and query are, and stops when no caller waits for it."""

import threading
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import anyio
import pytest
import rapidfuzz.process

from callers_mcp.api.errors import DeadlineExceeded
from callers_mcp.api.limiter import MAX_CONCURRENT_SEARCHES
from callers_mcp.campaign.listing import parse_row
from callers_mcp.campaign.matching import NameSearch, fold, search, suggest
from tests.support import fault_server as fault
from tests.support.campaign_lists import campaigns
from tests.support.constants import PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.name_search import Row, found, rows
from tests.support.stand_in_api import api_client

LATIN = "abcdefghijklmnopqrstuvwxyz"
CHINESE = "".join(chr(0x4E00 + number) for number in range(3_000))
THAI = "".join(chr(0x0E01 + number) for number in range(40))


def words(alphabet: str, letters: int) -> Callable[[Random], str]:
    """Return a function that makes names of 120 characters with words of so many letters."""
    return lambda random: " ".join("".join(random.choices(alphabet, k=letters)) for _ in range(120 // letters))[:120]


NAMES: dict[str, Callable[[Random], str]] = {
    "Chinese": words(CHINESE, 120),
    "few Chinese characters": words("\u4e0a\u6d77\u4e0b", 120),
    "Thai": words(THAI, 120),
    "words of five letters": words(LATIN, 5),
    "single letters": words(LATIN, 1),
    "the same for all": lambda _: " ".join(f"aaaa{letter}" for letter in LATIN)[:120],
}
QUERIES: dict[str, Callable[[Random], str]] = {
    "Chinese": words(CHINESE, 9),
    "one Chinese word": words(CHINESE, 120),
    "few Chinese characters": words("\u4e0a\u6d77\u4e0b", 9),
    "Thai": words(THAI, 9),
    "Latin": words(LATIN, 9),
    "similar words": lambda _: " ".join(f"aaa{letter}aa" for letter in LATIN),
}


def long_list(names: str, count: int) -> list[Row]:
    random = Random(1)
    return [Row(f"{number:024x}", "", fold(NAMES[names](random))) for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "query"),
    [
        ("Chinese", "Chinese"),
        ("Chinese", "one Chinese word"),
        ("few Chinese characters", "few Chinese characters"),
        ("Thai", "Thai"),
        ("words of five letters", "Latin"),
        ("single letters", "Latin"),
        ("the same for all", "similar words"),
    ],
)
def test_only_so_many_letters_are_compared_however_long_the_list_is(
    monkeypatch: pytest.MonkeyPatch, names: str, query: str
) -> None:
    compared = [0]
    extract = rapidfuzz.process.extract

    def counting(word: str, texts: Sequence[str], **options: Any) -> Any:
        compared[0] += len(word) * len(texts)
        return extract(word, texts, **options)

    monkeypatch.setattr(rapidfuzz.process, "extract", counting)
    search = NameSearch(long_list(names, 2_000), QUERIES[query](Random(2)))
    search.matches()
    search.suggestions()
    assert compared[0] <= 120 * 5 * 50_000


@pytest.mark.slow
@pytest.mark.parametrize("names", ["Chinese", "words of five letters"])
def test_a_search_needs_little_memory(names: str) -> None:
    search = NameSearch(long_list(names, 10_000), QUERIES["Chinese" if names == "Chinese" else "Latin"](Random(2)))
    search.matches()  # loads the modules
    search = NameSearch(search._items, search._phrase)
    tracemalloc.start()
    try:
        search.matches()
        search.suggestions()
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("a" * 60 + " b", "a" * 60 + " bc"),
        ("\u4e0a" * 60 + "\u4e0b", "\u6d77 " + "\u4e0a" * 60 + "\u4e0b"),
        ("renewels", " ".join(LATIN[:15]) + " renewals"),
        ("spring renewels", "Spring " * 14 + "renewals"),
    ],
)
def test_a_long_name_or_query_is_still_found(query: str, name: str) -> None:
    assert found(query, "something else", name) == [name]


@pytest.mark.slow
def test_in_a_very_long_list_the_newest_misspelt_names_are_found() -> None:
    among = [*long_list("words of five letters", 3_000), *rows("Spring renewals")]
    newest = [*among[:-1], Row("f" * 24, "Spring renewals", "spring renewals")]
    assert search(newest, "sprng renewels") == newest[-1:]
    assert search(among, "renewals spring") == among[-1:]  # without a misspelling, an old one too


class Endless(Sequence[Row]):
    """A list that takes many minutes to search. ``begun`` is set when a search has begun."""

    def __init__(self) -> None:
        self.begun, self.seen = threading.Event(), 0

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: Any) -> Any:
        self.begun.set()
        self.seen += 1
        threading.Event().wait(0.0001)
        return Row(f"{index:024x}", "", "spring renewals")


@pytest.mark.parametrize("look", [search, suggest])
async def test_a_search_stops_when_its_caller_leaves(look: Callable[..., object]) -> None:
    endless = Endless()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, look, endless, "sprng")
            await anyio.to_thread.run_sync(endless.begun.wait)
            tasks.cancel_scope.cancel()
    assert 0 < endless.seen < len(endless)


def _search(endless: Endless) -> Callable[[object], list[Row]]:
    return lambda _: search(endless, "sprng")


@pytest.mark.slow
async def test_a_search_that_was_left_gives_its_place_back_and_a_deadline_ends_one() -> None:
    endless = [Endless() for _ in range(MAX_CONCURRENT_SEARCHES)]
    with FaultServer(fault.answer(campaigns())) as server:
        async with api_client(server) as client, anyio.create_task_group() as tasks:
            for each in endless:
                tasks.start_soon(client.list_campaigns, parse_row, _search(each))
            for each in endless:
                await anyio.to_thread.run_sync(each.begun.wait)
            tasks.cancel_scope.cancel()
        async with api_client(server) as client:
            assert len(await client.list_campaigns(parse_row, list)) == 3
        async with api_client(server, timeout=1) as client:
            with pytest.raises(DeadlineExceeded):
                await client.list_campaigns(parse_row, _search(Endless()))
