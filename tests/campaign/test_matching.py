"""Campaigns are found by name as people type it: partly, in any order, joined or split, with small misspellings."""

from itertools import product

import pytest

from callers_mcp.campaign.matching import suggest
from tests.support.name_search import found, rows


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("renewals spring", "Spring renewals"),
        ("leeds 14 dental", "Harbour Dental, Leeds: week 14"),
        ("münchen rückruf", "Rückruf Zahnärzte München"),
        ("казань звонки", "Повторные звонки Казань"),
        ("الرياض تجديد", "تجديد العقود الرياض"),
        ("दिल्ली कॉल", "दोबारा कॉल दिल्ली"),
        ("東京 契約更新", "契約更新 東京"),
        ("서울 갱신", "갱신 서울"),
        ("续约 上海", "上海春季续约"),
        ("更新 東京", "東京の契約更新"),
        ("เชียงใหม่ นัดหมาย", "เตือนนัดหมายเชียงใหม่"),
    ],
)
def test_the_order_of_words_does_not_matter_in_any_script(query: str, name: str) -> None:
    assert found(query, "something else", name) == [name]


@pytest.mark.parametrize("typed", ["S", "sp", "Spring", "spring r", "spr ren", "ren spr", "renew"])
def test_a_name_is_found_while_it_is_typed(typed: str) -> None:
    assert found(typed, "Quick lunch", "Spring renewals") == ["Spring renewals"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("เชียง", "โทรกลับลูกค้า เชียงใหม่"),
        ("予約", "予約リマインド"),
        ("リマ", "予約リマインド"),
        ("续约", "春季续约 上海"),
        ("서", "서울 알림"),
        ("第14周", "上海春季续约第14周"),
        ("รอบ 14", "โทรกลับลูกค้ารอบ 14"),
        ("w14", "Leeds/W14"),
    ],
)
def test_a_part_of_a_name_without_spaces_finds_it(typed: str, name: str) -> None:
    assert found(typed, "something else", name) == [name]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *product(("followup", "follow-up", "follow up", "Follow_Up"), ("Followup Leeds", "Leeds follow-up calls")),
        *product(("winback", "win-back"), ("Autumn win back", "Autumn Winback")),
        ("week14", "Leeds, week 14"),
        ("obrien", "O'Brien & Sons recall"),
        ("o brien", "O’Brien & Sons recall"),
        ("o'brien", "OBrien recall"),
        ("o´brien", "O'Brien recall"),
        ("st annes", "St Anne's Hospice"),
        ("st anne", "St Anne's Hospice"),
        ("hospice st anne's", "St Annes Hospice"),
        ("loreal", "L'Oréal callbacks"),
        ("oreal", "L'Oréal callbacks"),
        ("می خواهم", "می‌خواهم"),
        ("میخواهم", "می‌خواهم"),
    ],
)
def test_words_joined_or_split_and_apostrophes_do_not_matter(typed: str, name: str) -> None:
    assert found(typed, "something else", name) == [name]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("renewls", "Spring renewals"),
        ("renewwals", "Spring renewals"),
        ("reenwals", "Spring renewals"),
        ("renewaks", "Spring renewals"),
        ("srping renewal", "Spring renewals"),
        ("renewels sprong", "Spring renewals"),
        ("rnewals spri", "Spring renewals"),
        ("remineder", "Leeds reminders"),
        ("remimd", "Leeds reminders"),
        ("laed", "Lead qualification"),
        ("KOELN", "Rückruf Köln"),
        ("muenchen", "Zahnärzte München"),
        ("Mueller", "Autohaus Müller"),
        ("казнь", "Опрос клиентов Казань"),
        ("αθυνα", "Επανακλήσεις Αθήνα"),
        ("مدرسه", "مدرسة"),
        ("week renewls 14", "Spring renewals, week 14"),
        ("キャンペン", "東京キャンペーン"),
        ("キャンペーソ", "東京キャンペーン 2"),
        ("续约活東", "One two three four five six seven 上海续约活动"),
        ("การต่ออายู", "แคมเปญการต่ออายุ"),
    ],
)
def test_a_small_misspelling_is_forgiven(typed: str, name: str) -> None:
    assert found(typed, "Zzzz", name) == [name]


def test_a_misspelling_is_forgiven_in_the_first_twenty_places_of_a_name() -> None:
    near, far = ("一" * before + "续约活动" for before in (18, 19))
    assert found("续约活東", near, far) == [near]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("cot", "Cat food"),
        ("uk", "US recall"),
        ("rcl", "Recall"),
        ("leopards", "Leads"),
        ("borrowed", "Tomorrow"),
        ("renewals cot", "Cat renewals"),
        ("更新案内", "春の更改中心"),
    ],
)
def test_a_short_word_or_another_word_is_not_a_misspelling(typed: str, name: str) -> None:
    assert found(typed, name) == []


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("week 14", "Leeds week 15"),
        ("week 14", "Leeds week 4"),
        ("week 2026", "Leeds week 2025"),
        ("list 1000", "List 100"),
        ("batch2024b", "batch2025b"),
        ("week 22", "Leeds week 2, 2026"),
        ("2026", "Leeds week 20, 26 calls"),
    ],
)
def test_a_number_is_never_taken_for_another(typed: str, name: str) -> None:
    assert found(typed, name) == []


def test_misspellings_are_searched_only_if_nothing_matches() -> None:
    assert found("leeds", "Leads follow-up", "Leeds reminders", "Leods") == ["Leeds reminders"]
    assert found("leeds", "Leads follow-up", "Leods") == ["Leods", "Leads follow-up"]
    assert found("renewals 14", "Renewels 14", "Pre-renewals 14") == ["Pre-renewals 14"]


def test_a_campaign_without_a_name_is_never_found_by_one() -> None:
    assert found("spring", "", "!!!", " ") == []
    assert suggest(rows("", "!!!"), "spring") == []


@pytest.mark.parametrize(
    ("query", "name"), [("spri", "Leeds price change"), ("the", "Perth event"), ("ac", "Sofia calls"), ("ing", "Sing")]
)
def test_a_few_letters_are_not_found_across_words_or_within_one(query: str, name: str) -> None:
    assert found(query, name) == []


def test_a_city_in_front_of_words_without_spaces_is_not_a_misspelling() -> None:
    assert found("大阪予約リマインド", "予約リマインド 東京", "予約リマインド 福岡") == []
