"""What completion offers for a text: names that a person can read, and that the prompts understand."""

import json
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from mcp.client.client import ConnectMode
from mcp_types import PromptReference

from callers_mcp.campaign import listing
from callers_mcp.campaign.listing import CampaignRow, parse_row
from callers_mcp.sandbox import organization
from callers_mcp.sanitize import has_invisible
from callers_mcp.server import completion
from tests.support.campaigns import Json, campaign
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.hostile_names import HOSTILE
from tests.support.mcp_features import CAMPAIGN, COMPARE, MODES, REVIEW, connect, meant, numbered, offered
from tests.support.stand_in_api import holding

NAMES = [
    "Renewals",
    "Renewals (DE)",
    "Renewals (batch 12)",
    "Spring renewals",
    "Prerenewals",
    "(abc) Callbacks",
    "Überfällige Zahlungen",
    "続きの電話",
    "Копия «Опрос»",
    "تذكير بالموعد",
    "O'Brien & Sons: win-back [2]",
    "12",
    f"Copy ({numbered(0)})",
    "A name so long that no user would ever read it to its end, and that is cut before it gets to it",
]
HELD = [campaign(id=numbered(at), name=name) for at, name in enumerate(NAMES)]


def label(number: int) -> str:
    return f"{numbered(number)} {NAMES[number]}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("ref", "argument"), [(REVIEW, "campaign"), (COMPARE, "first"), (COMPARE, "second")], ids=lambda one: str(one)
)
async def test_names_with_their_ids_are_offered_the_best_first(
    ref: PromptReference, argument: str, mode: ConnectMode
) -> None:
    with FaultServer(holding(*HELD)) as server:
        async with connect(server, mode) as client:
            values = await offered(client, "renewals", ref, argument)
            near = await offered(client, "sprin renwals", ref, argument)
            nothing = await offered(client, "zzzzzzzz", ref, argument)
    assert [values[0], *sorted(values[1:3]), *values[3:]] == [label(number) for number in range(5)]
    assert (near, nothing) == ([label(3)], [])


async def test_before_anything_is_typed_all_are_offered_by_name() -> None:
    held = [campaign(id=numbered(at), name=name) for at, name in enumerate(("beta", "Álpha", "GAMMA", "alpha"))]
    with FaultServer(holding(*held)) as server:
        async with connect(server) as client:
            for typed in ("", "  "):
                names = [value.partition(" ")[2] for value in await offered(client, typed)]
                assert sorted(names[:2]) == ["alpha", "Álpha"]
                assert names[2:] == ["beta", "GAMMA"]


@pytest.mark.parametrize("mode", MODES)
async def test_at_most_a_hundred_are_offered_together_with_the_total(mode: ConnectMode) -> None:
    for count, shown, more in ((150, 100, True), (101, 100, True), (100, 100, False), (1, 1, False)):
        held = [campaign(id=numbered(at), name=f"Plan {at:03}") for at in range(count)]
        with FaultServer(holding(*held, campaign(name="Other"))) as server:
            async with connect(server, mode) as client:
                completion = (await client.complete(REVIEW, {"name": "campaign", "value": "plan"})).completion
        assert (len(completion.values), completion.total, completion.has_more) == (shown, count, more)


async def test_nothing_is_offered_after_more_than_an_argument_takes() -> None:
    with FaultServer(holding(campaign())) as server:
        async with connect(server) as client:
            assert [len(await offered(client, "Spring".ljust(length))) for length in (400, 401)] == [1, 0]


def steps(text: str) -> list[str]:
    return [text[:end] for end in (*range(1, len(text), 3), len(text))]


@pytest.mark.parametrize("number", range(len(NAMES)))
async def test_a_completion_stays_in_the_list_while_it_is_typed(number: int) -> None:
    with FaultServer(holding(*HELD)) as server:
        async with connect(server) as client:
            (value,) = [one for one in await offered(client, "") if one.startswith(numbered(number))]
            name_first = f"{NAMES[number]} ({numbered(number)})"
            typed_texts = [*steps(value), *steps(name_first)]
            lost = [typed for typed in typed_texts if value not in await offered(client, typed)]
            for text in (value, name_first, value.replace(" ", "\u00a0")):
                assert await meant(client, text) == [f"callers://campaigns/{numbered(number)}"]
    assert lost == []


@pytest.mark.parametrize("name", [None, "", "???", "(", "—", "\u200b"])
async def test_a_campaign_without_letters_in_its_name_is_offered_and_stays_so(name: str | None) -> None:
    nameless = campaign(id="adde" + ID[4:], name=name)
    with FaultServer(holding(nameless, campaign(name="Added by hand"))) as server:
        async with connect(server) as client:
            (value,) = [one for one in await offered(client, "") if nameless["id"] in one]
            typed_texts = [*steps(value), *steps((name or "").strip("\u200b"))]
            lost = [typed for typed in typed_texts if value not in await offered(client, typed)]
            assert await meant(client, value) == [f"callers://campaigns/{nameless['id']}"]
    assert lost == []


@pytest.fixture(scope="module")
def listed() -> list[Json]:
    """The sandbox's 5,000 campaigns, first one of each language, then the others in any order."""
    campaigns: list[Json] = json.loads(organization.list_body(None, None))
    random.Random(5).shuffle(campaigns)
    first = {one["callParams"]["language"]: one["id"] for one in campaigns}
    assert len(first) > 10
    return sorted(campaigns, key=lambda one: one["id"] not in first.values())


of_many = pytest.mark.parametrize(
    ("count", "tried"), [(1_000, 40), pytest.param(5_000, 60, marks=pytest.mark.slow)], ids=["1,000", "5,000"]
)


@pytest.mark.slow
@of_many
async def test_a_completion_means_exactly_that_campaign_among_many(listed: list[Json], count: int, tried: int) -> None:
    wrong: list[str] = []
    with FaultServer(holding(*listed[:count])) as server:
        async with connect(server) as client:
            for one in listed[:tried]:
                values = await offered(client, one["name"])
                found = [value for value in values if value.startswith(f"{one['id']} ")]
                if len(found) != 1 or await meant(client, found[0]) != [f"callers://campaigns/{one['id']}"]:
                    wrong.append(one["name"])
    assert wrong == []


@of_many
async def test_of_many_campaigns_half_typed_and_misspelt_names_are_still_offered(
    listed: list[Json], count: int, tried: int
) -> None:
    chance, wrong = random.Random(7), []
    with FaultServer(holding(*listed[:count])) as server:
        async with connect(server) as client:
            for one in listed[: tried // 2]:
                whole = f"{one['id']} {one['name']}"
                at = chance.randrange(len(one["name"]) // 2, len(one["name"]))
                for typed in (one["name"][:at], one["name"].upper(), " ".join(reversed(one["name"].split()))):
                    completion = (await client.complete(REVIEW, {"name": "campaign", "value": typed})).completion
                    if not completion.has_more and whole not in completion.values:
                        wrong.append(typed)
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_template_is_offered_the_ids_of_the_campaigns_that_a_prompt_is_offered(mode: ConnectMode) -> None:
    odd = [campaign(id=wrong, name="Renewals") for wrong in (None, "", "../x", 7, ID + "0", "665f")]
    with FaultServer(holding(*HELD, *odd)) as server:
        async with connect(server, mode) as client:
            for typed, numbers in {
                "": range(len(NAMES)),
                "RENEWALS (d": [1],
                "uber": [6],
                "zahlungen": [6],
                "renewal spring": [3],
                "sprin renwals": [3],
                "電話": [7],
                numbered(3): [3],
                numbered(3).upper(): [3],
                f" {numbered(3)[:10]}": [3],
                "665f0": range(len(NAMES)),
                "zzzzzzzz": [],
            }.items():
                ids = await offered(client, typed, CAMPAIGN)
                assert sorted(ids) == [numbered(at) for at in numbers], typed
                assert ids == [value.split()[0] for value in await offered(client, typed)], typed


async def test_a_hostile_name_is_one_line_with_nothing_hidden_in_it() -> None:
    held = [campaign(id=numbered(at), name=name) for at, name in enumerate(HOSTILE)]
    with FaultServer(holding(*held)) as server:
        async with connect(server) as client:
            values = await offered(client, "")
            uris = {uri for value in values for uri in await meant(client, value)}
    assert len(values) == len(uris) == len(HOSTILE)
    assert all(len(value.splitlines()) == 1 and len(value) < 120 for value in values)
    assert not has_invisible("".join(values))


async def test_huge_texts_are_offered_nothing() -> None:
    """In linear time: anything else would take hours."""
    typed = ["a" + " " * 1_000_000 + "b", "a" * 10_000_000, "(a" * 500_000, "é " * 500_000, "\u0301" * 500_000]
    with FaultServer(holding(*HELD)) as server:
        async with connect(server) as client:
            for value in typed:
                for ref in (REVIEW, CAMPAIGN):
                    assert await offered(client, value, ref) == []
        assert server.connections == 0


@pytest.mark.parametrize("typed", ["", "plan", "665f0", f"{numbered(7)} pl", "plan 7 (", "zzzzzzzz"])
async def test_only_labels_that_may_be_offered_are_made(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each key that a user types, as a list can have 100,000 campaigns."""
    made = [0]

    def counted(row: CampaignRow) -> str:
        made[0] += 1
        return label_of(row)

    label_of = listing.label
    monkeypatch.setattr(completion, "label", counted)
    with FaultServer(holding(*(campaign(id=numbered(at), name=f"Plan {at}") for at in range(150)))) as server:
        async with connect(server) as client:
            await offered(client, typed)
    assert made[0] <= 100


class Endless(Sequence[CampaignRow]):
    """A list that takes long to read. ``begun`` is set when that has begun."""

    def __init__(self) -> None:
        self.begun, self.seen = threading.Event(), 0

    def __len__(self) -> int:
        return 5_000

    def __getitem__(self, index: Any) -> Any:
        if index == len(self):
            raise IndexError
        rows = [ROW] * len(range(len(self))[index]) if isinstance(index, slice) else [ROW]
        self.begun.set()
        self.seen += len(rows)
        threading.Event().wait(0.0001 * len(rows))
        return rows if isinstance(index, slice) else ROW

    access: Any = None

    async def list_campaigns(self, _: object, select: Callable[[Sequence[CampaignRow]], Any], **__: object) -> Any:
        """Be the list of this client."""
        return await anyio.to_thread.run_sync(select, self)


ROW = parse_row(campaign())


async def test_a_completion_stops_when_its_user_leaves() -> None:
    endless: Any = Endless()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(completion.complete, REVIEW, "campaign", "", {}, endless)
            await anyio.to_thread.run_sync(endless.begun.wait)
            tasks.cancel_scope.cancel()
    assert 0 < endless.seen < len(endless)
