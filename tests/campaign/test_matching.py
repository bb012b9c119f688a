"""Campaigns are found by name as people type it: in any script, half typed, misspelt, in any order."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callers_mcp.campaign.matching import MAX_SUGGESTIONS, fold, search, suggest

# The same examples in every run: a verdict on a change is about the change.
modest = settings(deadline=None, database=None, derandomize=True, max_examples=150)


@dataclass(frozen=True)
class Row:
    """A campaign as it is searched for."""

    id: str | None
    name: str
    folded_name: str


def rows(*names: str) -> list[Row]:
    return [Row(f"{number:024x}", name, fold(name)) for number, name in enumerate(names)]


def found(query: str, *names: str) -> list[str]:
    """Return the names that a query finds among ``names``, the best first."""
    return [row.name for row in search(rows(*names), query)]


SAME = [
    ("SPRING RENEWALS", "Spring renewals"),
    ("  spring   renewals ", "Spring renewals"),
    ("koln", "Köln"),
    ("KÖLN", "Ko\u0308ln"),
    ("sao paulo", "São Paulo"),
    ("a coruna", "A Coruña"),
    ("lodz", "Łódź"),
    ("LODZ", "łódź"),
    ("da nang", "Đà Nẵng"),
    ("DA NANG", "Đa\u0300 Na\u0306\u0303ng"),
    ("kobenhavn", "København"),
    ("tromso", "TROMSØ"),
    ("aero", "Ærø"),
    ("thorshofn", "Þórshöfn"),
    ("coeur", "Cœur"),
    ("strasse", "Straße"),
    ("straße", "STRASSE"),
    ("STRAẞE", "strasse"),
    ("istanbul", "İstanbul"),
    ("ISTANBUL", "istanbul"),
    ("İSTANBUL", "ıstanbul"),
    ("diyarbakir", "Diyarbakır"),
    ("DIYARBAKIR", "diyarbakır"),
    ("kowhai", "Kōwhai"),
    ("αθηνα", "Αθήνα"),
    ("ΑΘΗΝΑ", "Αθήνα"),
    ("πάτρας", "ΠΑΤΡΑΣ"),
    ("партнеры", "Партнёры"),
    ("ПАРТНЁРЫ", "партнеры"),
    ("новый", "Новыи"),
    ("محمد", "مُحَمَّد"),
    ("احمد", "أحمد"),
    ("اسلام", "إسلام"),
    ("القران", "القرآن"),
    ("مرحبا", "مـــرحبا"),
    ("שלום", "שָׁלוֹם"),
    ("ｌｅｅｄｓ １４", "Leeds 14"),
    ("ﾘﾏｲﾝﾄﾞ", "リマインド"),
    ("ｶﾞ", "ガ"),
    ("カ\u3099", "ガ"),
    ("서울", unicodedata.normalize("NFD", "서울")),
    ("fitness", "ﬁtness"),
    ("follow up", "Follow-up"),
    ("follow up", "follow_up"),
    ("north south", "North/South"),
    ("st anne s hospice", "St Anne’s Hospice"),
    ("st anne's hospice", "St Anne’s Hospice"),
    ("«week» 14", "week 14"),
    ("week 14", "Week: 14!"),
    ("上海 第3周", "上海（第３周）"),
]


@pytest.mark.parametrize(("typed", "name"), SAME)
def test_case_accents_width_and_punctuation_do_not_matter(typed: str, name: str) -> None:
    assert fold(typed) == fold(name)
    assert found(typed, "something else", name) == [name]


# Marks that make another letter, and letters that only look alike.
DIFFERENT = [
    ("カ", "ガ"),
    ("ハ", "パ"),
    ("कल", "कॉल"),
    ("दल", "दिल"),
    ("กา", "กำ"),
    ("ma", "мa"),
    ("14", "15"),
    ("나", "너"),
]


@pytest.mark.parametrize(("typed", "name"), DIFFERENT)
def test_another_letter_is_another_letter_in_every_script(typed: str, name: str) -> None:
    assert fold(typed) != fold(name)
    assert found(typed, name) == []
    assert found(name, typed) == []


@pytest.mark.parametrize("joined", ["+", "|", "=", "~", "$", "<", ">", "^", "`", "&", "-", "/", "*", "'", '"', "\\"])
def test_a_sign_between_words_parts_them_whether_the_name_has_accents_or_not(joined: str) -> None:
    assert fold(f"Koln{joined}Bonn") == fold(f"Köln{joined}Bonn") == "koln bonn"
    assert found("bonn köln", f"Köln{joined}Bonn") == [f"Köln{joined}Bonn"]


@given(st.text())
@modest
@example("ŉ ǰ ΐ ﷺ ½ ℃ ㍿ ﬃ İ ẞ")
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text) == " ".join(fold(text).split())


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=5))
@modest
def test_every_name_with_a_letter_finds_its_campaign_first(name: str, others: list[str]) -> None:
    hits = search(rows(*others, name), name)
    assert bool(hits) == bool(fold(name))
    assert not hits or hits[0].folded_name == fold(name)


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
        ("การต่ออายู", "แคมเปญการต่ออายุ"),
    ],
)
def test_a_small_misspelling_is_forgiven(typed: str, name: str) -> None:
    assert found(typed, "Zzzz", name) == [name]


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
def test_a_short_word_or_another_word_is_no_misspelling(typed: str, name: str) -> None:
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


def test_a_misspelling_is_looked_for_only_where_nothing_fits() -> None:
    assert found("leeds", "Leads follow-up", "Leeds reminders", "Leods") == ["Leeds reminders"]
    assert found("leeds", "Leads follow-up", "Leods") == ["Leods", "Leads follow-up"]
    assert found("renewals 14", "Renewels 14", "Pre-renewals 14") == ["Pre-renewals 14"]


def test_of_the_misspelt_the_nearest_comes_first() -> None:
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
    Row(None, "No id", "no id"),
]


def test_an_id_finds_its_campaign_first() -> None:
    for typed in (IDS[0], IDS[0].upper(), f"  {IDS[0]}\n"):
        assert [row.name for row in search(WITH_IDS, typed)] == ["Spring renewals", f"Copy of {IDS[0]}"]
    assert [row.id for row in search(WITH_IDS, IDS[1])] == [IDS[1]]
    assert search(WITH_IDS, IDS[0][:-1] + "f") == []


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("🎉", "Launch 🎉"),
        ("🎉 launch", "Launch 🎉"),
        ("launch", "🎉🎉Launch"),
        ("👩‍💻", "Support 👩‍💻"),
        ("👩", "Support 👩‍💻"),
        ("🇩🇪", "Rückruf 🇩🇪"),
        ("☎️", "☎️ callbacks"),
        ("☎", "☎️ callbacks"),
        ("☎️", "☎ callbacks"),
        ("callbacks ☎️", "☎ Callbacks"),
        ("🫨", "Shake 🫨"),
        ("🫩", "Tired 🫩"),
    ],
)
def test_an_emoji_is_found_however_new_and_however_it_is_written(typed: str, name: str) -> None:
    assert found(typed, "something else", name) == [name]


@pytest.mark.parametrize(
    "query", ["", " ", "!", "...", "—", "«»", "\u200b", "\u202e", "、。", "'", "\x00", "\u00ad", "()"]
)
def test_only_punctuation_finds_nothing_and_offers_nothing(query: str) -> None:
    among = [*rows("Spring renewals", "!", "...", ""), Row(None, "", "")]
    assert search(among, query) == []
    assert suggest(among, query) == []


def test_a_campaign_without_a_name_is_never_found_by_one() -> None:
    assert found("spring", "", "!!!", " ") == []
    assert suggest(rows("", "!!!"), "spring") == []


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


def test_names_that_are_far_off_are_not_offered() -> None:
    assert suggest(rows("Spring renewals", "Autumn offers"), "qqqq") == []


class Counted(str):
    """A folded name that counts how often it is looked into."""

    looks = 0

    def startswith(self, *arguments: object) -> bool:
        Counted.looks += 1
        return super().startswith(*arguments)  # type: ignore[arg-type]

    def __contains__(self, part: str) -> bool:  # type: ignore[override]
        Counted.looks += 1
        return super().__contains__(part)

    def split(self, *arguments: object) -> list[str]:
        Counted.looks += 1
        return super().split(*arguments)  # type: ignore[arg-type]


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
    ("query", "name"), [("spri", "Leeds price change"), ("the", "Perth event"), ("ac", "Sofia calls"), ("ing", "Sing")]
)
def test_a_few_letters_are_not_found_across_words_or_within_one(query: str, name: str) -> None:
    assert found(query, name) == []


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("Q2 renewals", "Renewals follow-up Leeds"),
        ("the gym", "Tideway gym reminders"),
        ("how is the spring renewal campaign", "Spring renewals"),
    ],
)
def test_what_has_the_asked_words_is_nearer_than_what_only_sounds_like_them(query: str, best: str) -> None:
    names = ["Quarterly referrals, week 2", "Thirteen gums", "Howling campaigners", best]
    assert suggest(rows(*names), query)[0].name == best


def test_a_city_in_front_of_words_without_spaces_is_no_misspelling() -> None:
    assert found("大阪予約リマインド", "予約リマインド 東京", "予約リマインド 福岡") == []
