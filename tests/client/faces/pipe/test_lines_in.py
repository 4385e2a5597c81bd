import codecs
import os

import pytest

from client.faces.pipe.lines_in import UnreadableLine, read_lines

TEXT = "Grüße\n\n  δύο \r\n你好 😀"
LINES = ["Grüße", "  δύο ", "你好 😀"]


async def lines_of(written: bytes, encoding: str = "utf-8") -> list[str | UnreadableLine]:
    """Give the lines of a pipe in which this was written."""
    reading, writing = os.pipe()
    try:
        os.write(writing, written)
        os.close(writing)
        return [line async for line in read_lines(reading, encoding)]
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode(), "iso8859-1"),  # what is UTF-8 is hardly ever meant as anything else
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-8"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-8"),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "utf-8"),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "utf-8"),
    ],
)
async def test_read_lines_in_any_unicode_encoding_gives_the_text(written: bytes, encoding: str) -> None:
    assert await lines_of(written, encoding) == LINES


async def test_read_lines_in_the_encoding_of_the_locale_gives_the_text() -> None:
    assert await lines_of("Grüße\nnaïve".encode("latin-1"), "iso8859-1") == ["Grüße", "naïve"]
    assert await lines_of("привет\nнет".encode("koi8-r"), "koi8-r") == ["привет", "нет"]


@pytest.mark.parametrize(
    ("written", "encoding", "problem"),
    [
        (b"a\n\xff\xfe\xfd\nb\n", "utf-8", "It is not UTF-8: "),
        (b"a\n\xff\xfe\xfd\nb\n", "ascii", "It is not UTF-8 and not ascii: "),
        ("a\n中\nb\n".encode("utf-16-le"), "utf-8", "It holds a zero byte"),
        (codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8" + "\nb\n".encode("utf-16-le"), "utf-8", "It is"),
        (codecs.BOM_UTF32_LE + "a\n".encode("utf-32-le") + b"\xff" * 4 + "\nb\n".encode("utf-32-le"), "utf-8", "It is"),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\x00", "utf-8", "It is"),
    ],
)
async def test_read_lines_of_what_is_not_text_gives_the_number_of_the_line(
    written: bytes, encoding: str, problem: str
) -> None:
    found = await lines_of(written, encoding)
    refused = [line for line in found if isinstance(line, UnreadableLine)]
    assert refused
    assert all("\ufffd" not in line for line in found if isinstance(line, str))
    assert all(line.problem.startswith(problem) for line in refused)
    assert 2 in [line.number for line in refused]


async def test_read_lines_of_what_is_not_text_counts_every_line() -> None:
    found = await lines_of(b"\xff\n" + b"x" * 3000 + b"\n\xff\n")
    assert [line.number for line in found if isinstance(line, UnreadableLine)] == [1, 3]


async def test_read_lines_of_a_mark_alone_gives_nothing() -> None:
    for mark in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE):
        assert await lines_of(mark) == []
