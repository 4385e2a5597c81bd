"""What may be a name, and which names are the same."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.names import NameProblem, name_keys, normalize_name


@pytest.mark.parametrize(
    "name",
    ["A", "Alice", "Alice B. Sea", "x" * 32, "Zoë", "李小龍", "Ольга", "🐎", "❤️", "O'Brien-2_x", "a!?#%&*()"],
)
def test_a_name_that_is_fine_stays_as_it_is(name: str) -> None:
    assert normalize_name(name) == name


NEEDED = [
    "علی\u200cرضا",  # Persian: Ali-Reza
    "می\u200cخواهم",
    "ශ\u0dca\u200dරී",  # Sinhala: Sri
    "ക\u0d4d\u200dഷ",  # Malayalam
    "ജോണ\u0d4d\u200d",  # and a name that ends so: John
    "क\u094d\u200cष",  # Hindi
    "শ\u09cd\u200cযামল",  # Bengali
    "র\u200d\u09cdযাচেল",  # Rachel: RA with ya-phalaa
    "ಅರ\u200d\u0ccdಕ",  # Kannada
    "👩\u200d💻 Ann",
    "Ann 👩🏽\u200d🚀",
    "👨\u200d👩\u200d👧\u200d👦",
    "👩\u200d❤\ufe0f\u200d💋\u200d👨",
    "🏳\ufe0f\u200d🌈",
    "🏴\u200d☠\ufe0f",
    "🐻\u200d❄\ufe0f",
    "🏃🏿\u200d♀\ufe0f\u200d➡\ufe0f",
    "🙂\u200d↔\ufe0f",
    "⛹🏻\u200d♂\ufe0f",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f Ann",  # England
    "🇦🇹 Ann",
    "👋🏽",
    "1\ufe0f\u20e3 Ann",
    "Ann ✈\ufe0e",
]


@pytest.mark.parametrize("name", NEEDED, ids=ascii)
def test_name_with_joiners_that_it_needs_stays_as_it_is(name: str) -> None:
    assert normalize_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "Ali\u200cce",
        "Ali\u200dce",
        "\u200cAlice",
        "Alice\u200d",
        "علی\u200c",
        "\u200cعلی",
        "علی\u200dرضا",
        "علی\u200c\u200cرضا",
        "د\u200cر",  # letters that are not joined anyway
        "ශ\u0dca\u200d\u200dරී",
        "ক\u200d\u09cdয",  # not behind RA
        "র\u200dযা",  # nor without a virama
        "👩\u200d",
        "\u200d👩",
        "👩\u200d\u200d💻",
        "👩\u200c💻",
        "👩\u200dAnn",
        "Ann\u200d👩",
        "©\u200d®",
        "★\u200d★",
        "🏴\U000e0067\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067",
        "A\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "🇦\u200d🇹",
    ],
    ids=ascii,
)
def test_name_with_a_joiner_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="invisible character U\\+"):
        normalize_name(name)


@pytest.mark.parametrize("name", NEEDED, ids=ascii)
def test_names_that_differ_only_by_what_nobody_sees_are_the_same(name: str) -> None:
    bare = re.sub("[\u200c\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]", "", name)
    assert name_keys(name).clash(name_keys(bare))


def test_name_of_a_younger_unicode_is_told_apart_from_an_invisible_one() -> None:
    with pytest.raises(NameProblem, match=r"U\+1FAFF, which Unicode [0-9.]+ does not have"):
        normalize_name("Ann \U0001faff")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Ａｌｉｃｅ", "Alice"),
        ("ﬁn", "fin"),
        ("Zoe\u0308", "Zoë"),
        ("A\u00a0B", "A B"),
        ("①", "1"),
        ("Ann\ufe0e", "Ann"),
        ("Ann\ufe0f 7\ufe0f", "Ann 7"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f"),
        ("Ann ™\ufe0f", "Ann TM"),
        ("e\u0301" * 32, "é" * 32),
    ],
)
def test_a_name_is_shown_in_compatibility_form(given: str, shown: str) -> None:
    assert normalize_name(given) == shown


@pytest.mark.parametrize("name", ["", " ", "\t", "\u00a0\u2003", "\n\n"])
def test_a_blank_name_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must not be empty or only white space"):
        normalize_name(name)


@pytest.mark.parametrize("name", ["x" * 33, "ﷺ" * 2, "ﬃ" * 11, "x" * 200, "x" * 1_000_000])
def test_a_name_of_more_than_32_characters_after_normalization_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must have at most 32 characters, not"):
        normalize_name(name)


def test_a_name_whose_normalization_would_take_minutes_is_refused_at_once() -> None:
    name = "a" + "\u0301\u0323" * 250_000
    begin = time.process_time()
    with pytest.raises(NameProblem):
        normalize_name(name)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("name", ["a@b", "a/b", "a:b", "ａ＠ｂ", "℅", "a：b"])
def test_a_character_that_addresses_use_is_refused_however_it_is_written(name: str) -> None:
    with pytest.raises(NameProblem, match=r"must not contain '[@/:]'"):
        normalize_name(name)


@pytest.mark.parametrize(
    "character",
    [
        *("\x00", "\x1b", "\n", "\t", "\x7f", "\x85", "\u2028", "\u2029"),
        *("\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00ad", "\U000e0041"),
        *("\ue000", "\uffff", "\u1680"),
        *("\u034f", "\u1160", "\u17b5", "\u2800", "\ufe00", "\U000e0100"),
        *("\ufffc", "\ufffd", "\U0001d159"),
    ],
)
def test_a_control_format_or_invisible_character_is_refused_and_named(character: str) -> None:
    with pytest.raises(NameProblem, match=rf"invisible character U\+{ord(character):04X}"):
        normalize_name(f"a{character}b")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(NameProblem, match=r"U\+D800"):
        normalize_name("a\ud800b")


@pytest.mark.parametrize("name", [" Alice", "Alice ", "Alice  B", "\u00a0Alice", "A\u00a0 B"])
def test_spaces_at_the_ends_or_two_in_a_row_are_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must not begin or end with a space"):
        normalize_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "aLICE"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Ａlice", "alice"),
        ("Zoë", "ZOE\u0308"),
        ("㎅", "kb"),
        ("\u0390", "\u03aa\u0301"),
    ],
)
def test_names_that_differ_only_in_case_or_form_are_the_same(one: str, other: str) -> None:
    assert name_keys(one).clash(name_keys(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u0430\u0441\u0435", "ace"),
        ("\u0410\u0421\u0415", "ace"),
        ("ΡΟΜΑ", "POMA"),
        ("AIice", "Alice"),
        ("A1ice", "Alice"),
        ("Wamer", "Warner"),
        ("R00T", "ROOT"),
        ("❤", "❤\ufe0f"),
        ("工", "エ"),
    ],
)
def test_names_that_look_alike_are_the_same(one: str, other: str) -> None:
    assert name_keys(one).clash(name_keys(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Alice", "Alicia"), ("Zoe", "Zoë"), ("A B", "AB"), ("1", "i"), ("Ian", "Lan"), ("Kai", "Kal"), ("Bob1", "Bob2")],
)
def test_names_that_can_be_told_apart_are_different(one: str, other: str) -> None:
    assert not name_keys(one).clash(name_keys(other))


@pytest.mark.parametrize(
    "name",
    [
        "山田たろう",
        "ヤマダ Taro",
        "김수現",
        "李小龍 Bob",
        "Ольга",
        "Ἀλέξανδρος",
        "كمال ٣",
        "שרה 2",
        "ㄅㄆ abc",
        "สมชาย",
        "Zoë 🐎",
        "R2-D2",
    ],
)
def test_a_name_of_one_writing_system_or_mixed_with_latin_as_is_common_is_fine(name: str) -> None:
    normalize_name(name)


@pytest.mark.parametrize(
    "name", ["\u0430lice", "Al\u0456ce", "Αlice", "Boბ", "Ольгa", "たろう김", "שרה abc", "ㄅ김", "Aꓲice"]
)
def test_a_name_that_mixes_writing_systems_otherwise_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must not mix letters of different writing systems"):
        normalize_name(name)


@pytest.mark.parametrize(
    "name",
    ["system", "SYSTEM", "Server", "ｓｅｒｖｅｒ", "SySteM", "ſyſtem", "You", "ʏou", "(SYSTEM)", "⟦System⟧", "you!"],
)
def test_the_names_that_would_pass_for_the_chat_itself_are_reserved(name: str) -> None:
    with pytest.raises(NameProblem, match="is reserved"):
        normalize_name(name)


@pytest.mark.parametrize("name", ["[SYSTEM] Eve left", "[CLIENT]", "\u0301a"])
def test_a_name_that_begins_as_a_line_of_the_chats_own_does_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must not begin with a bracket or a combining mark"):
        normalize_name(name)


@pytest.mark.parametrize("name", ["Bob\u2236 I quit", "a\u2044b", "a\ua789b"])
def test_what_looks_like_a_character_that_is_refused_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match=r"must not contain a character that looks like '[/:]'"):
        normalize_name(name)


@pytest.mark.parametrize(
    "name", ["Bob left the chat. Eve", "Bob JOINED the chat", "Bob is now Eve", "Bob Ieft the chat"]
)
def test_a_name_that_would_make_a_notice_say_something_else_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="must not contain the words of a notice"):
        normalize_name(name)


@pytest.mark.parametrize("name", ["Is Now", "now", "Nina (left)", "100 %", "Youssef", "a]", "The chat"])
def test_a_name_that_only_comes_near_is_fine(name: str) -> None:
    assert normalize_name(name) == name


@pytest.mark.parametrize("name", ["Mi\u0307a", "Benj\u0307i", "Yo\u0335u", "Al\u0338ice"])
def test_a_mark_that_is_hardly_to_be_seen_is_refused(name: str) -> None:
    with pytest.raises(NameProblem, match="barely visible mark"):
        normalize_name(name)


@pytest.mark.parametrize(
    "name", ["İbrahim", "Żaneta", "Ėglė", "Søren", "Łukasz", "Đorđe", "S\u0307ule", "\u05d01", "السيد 2"]
)
def test_letters_that_have_a_stroke_or_a_dot_of_their_own_are_fine(name: str) -> None:
    normalize_name(name)


@pytest.mark.parametrize("name", ["1\u05d0", "!\u05d0", "٢كمال"])
def test_a_name_from_the_right_begins_with_a_letter(name: str) -> None:
    with pytest.raises(NameProblem, match="must begin with a right-to-left letter"):
        normalize_name(name)


def test_marks_that_paint_over_other_lines_are_refused() -> None:
    assert normalize_name("Vie\u0323\u0302t") == "Việt"
    with pytest.raises(NameProblem, match="must not have more than 4 marks on one letter"):
        normalize_name("Z\u0300\u0316\u0315\u035c\u0321o")


@given(st.text(max_size=60))
def test_a_normal_name_is_in_the_form_it_would_be_given_again(text: str) -> None:
    try:
        name = normalize_name(text)
    except NameProblem:
        return
    assert normalize_name(name) == name
    assert 1 <= len(name) <= 32
    assert name_keys(name) == name_keys(text)
    assert name_keys(name).clash(name_keys(name.upper()))
