"""The join key as people write it down."""

import pytest

from protocol.join_key import MAX_KEY_CHARS, bare, checked_key, read_key


@pytest.mark.parametrize(
    "content",
    [
        b"schl\xc3\xbcssel 1",
        b"schl\xc3\xbcssel 1\n",
        b"schl\xc3\xbcssel 1\r\n\r\n",
        b" schl\xc3\xbcssel 1\t\n",
        b"\xef\xbb\xbfschl\xc3\xbcssel 1\r\n",
        "schlüssel 1\r\n".encode("utf-16"),
        b"\xfe\xff" + "schlüssel 1\r\n".encode("utf-16-be"),
    ],
)
def test_read_key_as_editors_write_it_is_the_same_key(content: bytes) -> None:
    assert read_key(content) == "schlüssel 1"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (b"one\ntwo\n", "contains a line break"),
        (b"a\0b", "contains a line break or an invisible character"),
        ("key".encode("utf-16-le"), "contains a line break or an invisible character"),
        ("key".encode("utf-32"), "contains a line break or an invisible character"),
        (b"s\xffcret", "is not UTF-8"),
        (b"\xff\xfea", "is not UTF-8"),
        (b"k" * (MAX_KEY_CHARS + 1), "has 1025 characters; expected at most 1024"),
    ],
)
def test_read_key_that_nobody_could_type_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        read_key(content)
    assert "cret" not in str(refused.value)


def test_checked_key_refuses_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="invisible"):
        checked_key("key\udcff")


@pytest.mark.parametrize("text", ["key", "\ufeffkey", " key\r\n", "\ufeff key ", "\r\n\ufeffkey"])
def test_bare_drops_what_stands_around_a_key(text: str) -> None:
    assert bare(text) == "key"
