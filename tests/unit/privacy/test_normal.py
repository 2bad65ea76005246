"""The normal form: what hides a word from a reader of characters, not from a person."""

from __future__ import annotations

import unicodedata

import pytest

from cogenesis.privacy.normal import foreign, joined, tidy, visible, words


def keys(text: str) -> list[str]:
    return [w.key for w in words(text)]


@pytest.mark.parametrize(
    "hidden",
    [
        "THOMPSON",
        "ＴＨＯＭＰＳＯＮ",
        "Тhоmрsоn",  # Cyrillic Т о р о
        "ΤΗΟΜΡSΟΝ",  # Greek capitals
        "𝕿𝖍𝖔𝖒𝖕𝖘𝖔𝖓",
        "𝚃𝚑𝚘𝚖𝚙𝚜𝚘𝚗",
        "ⓣⓗⓞⓜⓟⓢⓞⓝ",
        "🅃🄷🄾🄼🄿🅂🄾🄽",
        "🆃🅷🅾🅼🅿🆂🅾🅽",
        "🅣🅗🅞🅜🅟🅢🅞🅝",
        "🇹🇭🇴🇲🇵🇸🇴🇳",
        "Thom\u200bpson",
        "Thom\u00adpson",
        "\u202eThompson\u202c",
        "Thom\u2060p\ufeffson",
        "Thom\u3164pson",
        "T\u0301hompson",
        "Thómpsön",
        "T̷h̷o̷m̷p̷s̷o̷n̷",
        "ᴛhoᴍpson",
    ],
)
def test_one_word_however_it_is_drawn(hidden: str) -> None:
    assert keys(hidden) == ["thompson"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Elaine's", ["elaine", "s"]),
        ("O\u2019Connor", ["o", "connor"]),
        ("O\u02bcConnor", ["o", "connor"]),
        ("Mary-Jane", ["mary", "jane"]),
        ("æther Straße Þór Øystein", ["aether", "strasse", "thor", "oystein"]),
        ("٤٧ ４７ ⁴⁷ ④⑦ 𝟜𝟟", ["47"] * 5),
        ("a\tb\nc\r\nd\u2028e", ["a", "b", "c", "d", "e"]),
        ("", []),
        ("😀 …!?", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert keys(text) == expected


def test_words_remember_where_they_stood() -> None:
    text = "Ask Ｅl\u200bena,\nor\u00a0Zoë!"
    assert [text[w.start : w.end] for w in words(text)] == ["Ask", "Ｅl\u200bena", "or", "Zoë"]
    assert [w.capital for w in words(text)] == [True, True, False, True]


def test_a_long_text_reads_as_a_short_one() -> None:
    sentence = "Ｅlena went to São Paulo. "
    assert keys(sentence * 100) == keys(sentence) * 100


def test_joined_finds_letters_written_apart_within_a_bound() -> None:
    found = words("T h o m p-s.o_n")
    assert "thompson" in {key for _, _, key in joined(found)}
    assert all(len(key) <= 48 for _, _, key in joined(words("ab " * 200)))


def test_visible_maps_back_to_the_original() -> None:
    text = "call ４１５\u200b-５５５ now"
    shown, places = visible(text)
    assert shown == "call 415-555 now"
    assert places is not None
    at = shown.index("555")
    assert text[places[at] : places[at + 2] + 1] == "５５５"
    assert visible("plain text, naïve “quotes”") == ("plain text, naïve “quotes”", None)


@pytest.mark.parametrize(
    "text",
    [
        "Ωmega",
        "ᎢᎻᎾ",
        "東京",
        "привет",
        "ǝuıɐlƎ",
        "⠑⠇⠑",
        "α-test",
        "राम",
        "𝛼𝛽",
        "ⲧhompson",
    ],
)
def test_letters_that_are_not_latin_are_foreign(text: str) -> None:
    assert list(foreign(f"write to {text} today"))


@pytest.mark.parametrize(
    "text", ["naïve café", "Ｆull", "ﬁne ½ cup", "Łódź, Øre", "☺ 🎉 “ok” – €5", "20ª", "① first"]
)
def test_latin_letters_signs_and_emoji_are_not(text: str) -> None:
    assert list(foreign(text)) == []


def test_tidy_leaves_one_visible_line() -> None:
    text = tidy(
        " A\u200b plan\u00ad \u202efor\u202c\n\n a\u0301\u0336 \ufe0fday\x00\x1b \ue000\U000e0041 "
    )
    assert text == "A plan for á day"
    assert tidy("x\u3164y \u2800z") == "xy z"
    for char in tidy("".join(map(chr, range(0xD7FF)))):
        assert unicodedata.category(char) not in {"Cf", "Cc", "Cs", "Co", "Cn", "Mn", "Me"}


@pytest.mark.parametrize("text", ["A plan for spring", "Café “Zoë” – 5 €", "Don't: panic!"])
def test_tidy_changes_nothing_in_plain_text(text: str) -> None:
    assert tidy(text) == text
