"""Case, accents, width and punctuation do not matter in a search; another letter does."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callers_mcp.campaign.matching import fold, search, suggest
from tests.support.name_search import Row, found, rows
from tests.support.strategies import modest

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
