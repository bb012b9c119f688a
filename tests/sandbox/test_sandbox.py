"""The simulated API: a large organization and a small one, listed and looked up over a real socket."""

import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from callers_mcp.campaign.model import parse_campaign
from callers_mcp.campaign.problems import find_problems
from callers_mcp.sandbox import (
    API_KEY,
    MISSING_ID,
    ORGANIZATION_ID,
    SAMPLES,
    SUB_ORGANIZATION_ID,
    Sandbox,
    organization,
)
from callers_mcp.sandbox.samples import RENEWALS_ID, as_json

Json = dict[str, Any]

PLACES = [None, SUB_ORGANIZATION_ID]
SIZES = {None: 5_000, SUB_ORGANIZATION_ID: 40}
EMAIL_PARAMS = {
    "outboundConnectionIds": list,
    "inboundConnectionIds": list,
    "followUpAttempts": int,
    "followUpIntervalMinutes": int,
    "followUpDelayMinutes": int,
    "fallbackEnabled": bool,
    "retryFollowUp": bool,
    "signature": str,
    "signatureName": str,
    "defaultSubject": str,
    "timezone": str,
}
SCRIPTS = [
    "LATIN",
    "CYRILLIC",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
]
OTHER = "65aa00112233445566778800"


class Api:
    """What a client has: the sandbox's URL and a key."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, trust_env=False)

    def get(self, target: str, place: str | None = None, key: str = API_KEY) -> httpx2.Response:
        headers = {"Authorization": key} | ({"x-sub-organization-id": place} if place is not None else {})
        return self.http.get(target, headers=headers)

    def listed(self, place: str | None = None, **query: str) -> list[Json]:
        target = httpx2.URL("/campaigns", params={"organizationId": place or ORGANIZATION_ID, **query})
        answer = self.get(str(target), place)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        campaigns: list[Json] = answer.json()
        return campaigns


@pytest.fixture(scope="module")
def api(sandbox: Sandbox) -> Iterator[Api]:
    api = Api(sandbox.base_url)
    with api.http:
        yield api


@pytest.fixture(scope="module")
def campaigns(api: Api) -> dict[str | None, list[Json]]:
    """Return what each place lists."""
    return {place: api.listed(place) for place in PLACES}


def generated(campaigns: list[Json]) -> list[Json]:
    return [campaign for campaign in campaigns if campaign["id"] not in SAMPLES]


def settled(campaign: Json) -> Json:
    """Return a campaign as the single answer has it, without the times that move with each request for a sample."""
    moving = {"firstInteractionAt", "completedAt"} if campaign["id"] in SAMPLES else set()
    return {name: value for name, value in campaign.items() if name not in {"emailParams", *moving}}


@pytest.mark.parametrize("place", PLACES)
def test_an_organization_lists_all_its_campaigns_each_with_its_own_id(
    campaigns: dict[str | None, list[Json]], place: str | None
) -> None:
    listed = campaigns[place]
    ids = {campaign["id"] for campaign in listed}
    assert len(listed) == len(ids) == SIZES[place]
    assert all(re.fullmatch("[0-9a-f]{24}", campaign_id) for campaign_id in ids)
    assert {campaign["organizationId"] for campaign in listed} == {place or ORGANIZATION_ID}
    assert ids & {*SAMPLES, MISSING_ID} == {name for name, (held_in, _) in SAMPLES.items() if held_in == place}
    (other,) = (campaigns[other] for other in PLACES if other != place)
    assert not ids & {campaign["id"] for campaign in other}


@pytest.mark.parametrize("place", PLACES)
def test_the_order_is_the_same_each_time_with_the_samples_among_the_others(
    api: Api, campaigns: dict[str | None, list[Json]], place: str | None
) -> None:
    ids = [campaign["id"] for campaign in campaigns[place]]
    assert [campaign["id"] for campaign in api.listed(place)] == ids
    at = [ids.index(name) for name, (held_in, _) in SAMPLES.items() if held_in == place]
    assert min(at) > 0
    assert max(at) < len(ids) - 1
    assert all(second - first > 1 for first, second in zip(sorted(at), sorted(at)[1:], strict=False))


@pytest.mark.parametrize("place", PLACES)
def test_a_campaign_of_the_list_is_the_one_that_is_looked_up_but_for_its_email_params(
    api: Api, campaigns: dict[str | None, list[Json]], place: str | None
) -> None:
    listed = campaigns[place]
    for campaign in [*listed[:: len(listed) // 40], *(campaign for campaign in listed if campaign["id"] in SAMPLES)]:
        answer = api.get(f"/campaigns/{campaign['id']}", place)
        assert answer.status_code == 200
        assert settled(answer.json()) == settled(campaign)
        assert list(answer.json()) == [name for name in campaign if name != "emailParams"]


def test_every_generated_campaign_is_found_by_its_id(campaigns: dict[str | None, list[Json]]) -> None:
    for place, listed in campaigns.items():
        for campaign in generated(listed):
            assert json.loads(as_json(organization.find(campaign["id"], place))) == settled(campaign)


def test_a_campaign_is_found_only_in_its_own_organization(api: Api, campaigns: dict[str | None, list[Json]]) -> None:
    for place, listed in campaigns.items():
        (other,) = (other for other in PLACES if other != place)
        for campaign in listed[:5]:
            assert api.get(f"/campaigns/{campaign['id'].upper()}", place).status_code == 200
            assert api.get(f"/campaigns/{campaign['id']}", other).status_code == 404
            neighbour = f"{int(campaign['id'], 16) + 1:024x}"
            assert api.get(f"/campaigns/{neighbour}", place).status_code == 404
    for campaign_id in (MISSING_ID, "0" * 24, "f" * 24):
        answer = api.get(f"/campaigns/{campaign_id}")
        assert answer.status_code == 404
        assert next(iter(SAMPLES)) in answer.json()["message"]


def test_each_element_has_the_samples_shape_and_its_email_params(campaigns: dict[str | None, list[Json]]) -> None:
    shape = next(iter(SAMPLES.values()))[1]()
    for campaign in [campaign for listed in campaigns.values() for campaign in listed]:
        assert set(campaign) == {*shape, "emailParams"}
        assert set(campaign["callParams"]) == set(shape["callParams"])
        assert {name: type(value) for name, value in campaign["emailParams"].items()} == EMAIL_PARAMS


def test_an_element_is_as_large_as_a_real_one(campaigns: dict[str | None, list[Json]]) -> None:
    sizes = [
        len(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()) for one in generated(campaigns[None])
    ]
    assert min(sizes) > 850
    assert max(sizes) < 1_600
    assert sum(900 <= size <= 1_300 for size in sizes) > 0.85 * len(sizes)


def test_names_are_of_many_scripts_mostly_unique_and_never_a_samples(
    campaigns: dict[str | None, list[Json]],
) -> None:
    names = [campaign["name"] for campaign in generated(campaigns[None])]
    known = {script: [name for name in names if script in scripts_of(name)] for script in SCRIPTS}
    assert all(len(found) >= 25 for found in known.values()), {script: len(found) for script, found in known.items()}
    for accents in ("éèêç", "äöüß", "ąęłżó", "ığşİ"):
        assert sum(any(letter in name for letter in accents) for name in names) > 40
    english = [one for one in generated(campaigns[None]) if one["callParams"]["language"].startswith("en")]
    assert 0.57 < len(english) / len(names) < 0.65
    times = Counter(names)
    assert sum(count == 1 for count in times.values()) > 0.85 * len(names)
    assert sum(count > 1 for count in times.values()) > 50
    taken = [make()["name"].removeprefix("Sample: ").casefold() for _, make in SAMPLES.values()]
    for name in [*names, *(campaign["name"] for campaign in generated(campaigns[SUB_ORGANIZATION_ID]))]:
        assert not any(words in name.casefold() for words in taken)
        assert name.isprintable()
        assert name == " ".join(name.split()) == unicodedata.normalize("NFC", name)


def scripts_of(name: str) -> set[str]:
    return {unicodedata.name(letter).partition(" ")[0] for letter in name if letter.isalpha()}


def test_campaigns_vary_and_a_few_have_one_thing_wrong(campaigns: dict[str | None, list[Json]]) -> None:
    now = datetime.now(UTC)
    wrong: Counter[str] = Counter()
    for campaign in generated(campaigns[None]):
        found = find_problems(parse_campaign(campaign, now), campaign["id"], now)
        assert len(found) <= 1, found
        wrong.update(re.sub(r'".*?"|\d', "", sentence) for sentence in found)
        assert (
            campaign["isIncoming"]
            == bool(campaign["incomingPhoneNumber"])
            != bool(campaign["callParams"]["phonesFrom"])
        )
        assert (campaign["campaignGroupId"] is None) == (campaign["campaignGroupName"] is None)
    assert len(wrong) == 4
    assert 0.02 < wrong.total() / SIZES[None] < 0.04
    for of, least in (("language", 14), ("timezone", 25), ("approvedCountries", 25), ("daysOfWeek", 6)):
        assert len({str(campaign["callParams"][of]) for campaign in campaigns[None]}) >= least
    for name in ("active", "isIncoming", "pauseNewChats"):
        assert sum(campaign[name] for campaign in campaigns[None]) > 250


def test_times_are_relative_to_now(campaigns: dict[str | None, list[Json]]) -> None:
    for listed in campaigns.values():
        times = [datetime.fromisoformat(text) for one in listed if (text := one["firstInteractionAt"])]
        assert max(times) > datetime.now(UTC) - timedelta(days=10)
        assert max(times) < datetime.now(UTC)


def test_groups_have_ids_and_names_of_their_own(campaigns: dict[str | None, list[Json]]) -> None:
    groups = [
        {(one["campaignGroupId"], one["campaignGroupName"]) for one in campaigns[place] if one["campaignGroupId"]}
        for place in PLACES
    ]
    assert len(groups[0]) == len(dict(groups[0])) == 49
    assert all(re.fullmatch("[0-9a-f]{24}", group_id) for group_id, _ in groups[0] | groups[1])
    assert not dict(groups[0]).keys() & dict(groups[1]).keys()
    assert 500 < sum(campaign["campaignGroupId"] is None for campaign in campaigns[None]) < 1_500


@pytest.mark.parametrize("spelled", [RENEWALS_ID, RENEWALS_ID.upper()])
def test_a_group_filters_the_list(api: Api, campaigns: dict[str | None, list[Json]], spelled: str) -> None:
    listed = api.listed(campaignGroupId=spelled)
    expected = [one["id"] for one in campaigns[None] if one["campaignGroupId"] == RENEWALS_ID]
    assert [campaign["id"] for campaign in listed] == expected
    assert 20 <= len(listed) <= 30
    assert {campaign["campaignGroupName"] for campaign in listed} == {"Renewals"}
    assert {"Sample: Spring renewals", "Renewals follow-up Leeds"} <= {campaign["name"] for campaign in listed}


@pytest.mark.parametrize("place", PLACES)
def test_a_group_that_is_not_there_has_no_campaigns(api: Api, place: str | None) -> None:
    assert api.listed(place, campaignGroupId=MISSING_ID) == []
    assert api.listed(SUB_ORGANIZATION_ID, campaignGroupId=RENEWALS_ID) == []


@pytest.mark.parametrize(
    ("query", "place", "status", "says"),
    [
        ("", None, 400, f"organizationId is required. Here it is {ORGANIZATION_ID}"),
        ("", SUB_ORGANIZATION_ID, 400, f"Here it is {SUB_ORGANIZATION_ID}"),
        ("?organizationId=", None, 400, "organizationId must be"),
        ("?organizationId=65aa", None, 400, "organizationId must be"),
        (f"?organizationId={ORGANIZATION_ID}%0A", None, 400, "organizationId must be"),
        (f"?organizationId={ORGANIZATION_ID}&organizationId={ORGANIZATION_ID}", None, 400, "organizationId must be"),
        (f"?organizationId={ORGANIZATION_ID}&campaignGroupId=", None, 400, "campaignGroupId must be"),
        (f"?organizationId={ORGANIZATION_ID}&campaignGroupId=Renewals", None, 400, "campaignGroupId must be"),
        (
            f"?organizationId={OTHER}",
            None,
            403,
            f"Without an x-sub-organization-id, organizationId is {ORGANIZATION_ID}",
        ),
        (f"?organizationId={SUB_ORGANIZATION_ID}", None, 403, "Another organization"),
        (f"?organizationId={ORGANIZATION_ID}", SUB_ORGANIZATION_ID, 403, f"organizationId is {SUB_ORGANIZATION_ID}"),
        (f"?organizationId={ORGANIZATION_ID}", OTHER, 403, f"The sandbox has: {SUB_ORGANIZATION_ID}"),
        (f"/{MISSING_ID}/calls", None, 404, "GET /campaigns?organizationId=..."),
        ("/nonsense", None, 400, "campaignId must be"),
        (f"/{MISSING_ID}", OTHER, 403, f"The sandbox has: {SUB_ORGANIZATION_ID}"),
    ],
)
def test_an_error_says_what_would_work(api: Api, query: str, place: str | None, status: int, says: str) -> None:
    answer = api.get(f"/campaigns{query}", place)
    assert answer.status_code == status
    body = answer.json()
    assert says in body.pop("message")
    assert body == {"status": "error", "data": []}


def test_a_query_is_percent_decoded(api: Api) -> None:
    encoded = "".join(f"%{ord(digit):02X}" for digit in ORGANIZATION_ID)
    answer = api.get(f"/campaigns?organization%49d={encoded}&campaignGroupId=%{ord('0'):x}{MISSING_ID[1:]}")
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_wrong_key_lists_nothing(api: Api) -> None:
    answer = api.get(f"/campaigns?organizationId={ORGANIZATION_ID}", key="wrong")
    assert answer.status_code == 401
    assert API_KEY in answer.json()["message"]


def test_requests_at_the_same_time_build_the_list_once(api: Api) -> None:
    organization._elements.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        listed = list(pool.map(lambda _: api.listed(campaignGroupId=RENEWALS_ID), range(8)))
    assert organization._elements.cache_info().misses == 1
    assert all([settled(one) for one in each] == [settled(one) for one in listed[0]] for each in listed)


def test_a_start_and_the_samples_do_not_import_the_generated_campaigns() -> None:
    code = """
import sys, urllib.request
from callers_mcp.sandbox import API_KEY, SAMPLES, Sandbox
with Sandbox() as sandbox:
    request = urllib.request.Request(f"{sandbox.base_url}/campaigns/{next(iter(SAMPLES))}")
    request.add_header("Authorization", API_KEY)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
print([name for name in sys.modules if name.startswith("callers_mcp.sandbox.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['callers_mcp.sandbox.samples', 'callers_mcp.sandbox.server']\n"
