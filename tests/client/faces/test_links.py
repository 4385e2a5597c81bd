import pytest

from client.faces.links import find_links, target_of

A = "https://example.com/a"

# The page has the same rule: its tests and these agree on this table.
ENDS_WHERE_A_PERSON_WOULD_END_IT = [
    *(f"see {A}{mark}" for mark in ".,;:!?'\"*_~"),
    f"see {A}...",
    f"({A})",
    f"(see {A}).",
    f"[{A}]",
    f"{{{A}}}",
    f"<{A}>",
    f'"{A}"',
    f"'{A}'",
    f"`{A}`",
    f"**{A}**",
    f"[{A}]({A})",
    f"({A})b",
    f"«{A}»",
    f"“{A}”",
    f"‘{A}’",
    f"„{A}“",
    f"看{A}，谢谢",
    f"请看 {A}。",
    f"「{A}」",
    f"『{A}』",
    f"（{A}）",
    f"【{A}】",
    f"《{A}》",
    f"{A}、{A}",
    f"{A}！",
    f"{A}？",
    f"{A}：",
    f"{A}；",
    f"{A}…",
    f"see {A}… and",
    f"{A}،",
    f"{A}؟",
    f"{A}।",
    f"{A}\u3000b",
    f"{A}\u00a0b",
    f"{A}\nb",
]

WHOLE = [
    "https://example.com",
    "HTTPS://Example.com/A",
    "http://[::1]:8080/a",
    "https://en.wikipedia.org/wiki/Rust_(video_game)",
    "https://example.com/a[0]",
    "https://example.com/?q={a}&b=c#d-e",
    "https://example.com/a.b,c;d:e!f?g'h",
    "https://de.wikipedia.org/wiki/Käse",
    "https://ca.wikipedia.org/wiki/Col·lecció",
    "https://ja.wikipedia.org/wiki/ジョン・レノン",
    "https://例え.jp/例",
    "https://example.com/" + "a" * 3000,
]


def links(text: str) -> list[str]:
    return [text[begin:end] for begin, end in find_links(text)]


@pytest.mark.parametrize("text", ENDS_WHERE_A_PERSON_WOULD_END_IT)
def test_find_links_with_punctuation_behind_gives_the_link_alone(text: str) -> None:
    assert set(links(text)) == {A}


@pytest.mark.parametrize("link", WHOLE)
@pytest.mark.parametrize("text", ["{}", "see {} there", "({})", "看{}，"])
def test_find_links_with_punctuation_within_gives_all_of_it(link: str, text: str) -> None:
    assert links(text.format(link)) == [link]


@pytest.mark.parametrize(
    "text", ["https://", "http://.", "xhttp://a.example", "ftp://a.example", "http://[::1/", "http://?"]
)
def test_find_links_of_what_is_no_link_gives_none(text: str) -> None:
    assert links(text) == []


def test_target_of_a_link_is_printable_ascii() -> None:
    assert target_of("https://例.jp/ä?q=%20[1]") == "https://%E4%BE%8B.jp/%C3%A4?q=%20[1]"
    assert target_of(f"{A}\x1b\x07\x9c") == f"{A}%1B%07%C2%9C"


def test_target_of_a_link_that_terminals_ignore_is_empty() -> None:
    assert target_of("https://example.com/" + "a" * 3000) == ""
