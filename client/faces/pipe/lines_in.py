"""Lines from stdin: a pipe, a file, or a terminal in line mode."""

import asyncio
import codecs
import os
import sys
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, cast

CHUNK_BYTES: Final = 65536
LONGEST_LINE_BYTES: Final = 65536  # longer than any text that the server accepts (4,096 characters)
UTF_8: Final = "utf-8"

# Byte order marks (Unicode 16.0, section 23.8). UTF-32 LE comes first: its mark begins with the mark of UTF-16 LE.
MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK: Final = 4
# Replaces an invalid sequence by half a surrogate pair: as it is not UTF-8 either, only its own line is refused.
NO_CHARACTER: Final = "client.faces.pipe.lines_in"
codecs.register_error(NO_CHARACTER, lambda error: ("\udfff", cast("UnicodeDecodeError", error).end))


@dataclass(frozen=True)
class UnreadableLine:
    """A line that no known encoding can decode. `number` counts from 1, blank lines included."""

    number: int
    problem: str


async def read_lines(fd: int, encoding: str | None = None) -> AsyncGenerator[str | UnreadableLine, None]:
    """Yield the lines that are not blank, unchanged, without their line ends.

    Decode a line as UTF-8, else in `encoding` (None: the encoding of stdin, from the locale). A byte order mark at the
    start of the input selects its encoding. Truncate a line over 64 KiB, to more than the server accepts, so that
    it is refused and never taken for a complete text; discard the rest of the line.
    """
    read = _LineDecoder(encoding or (sys.stdin.encoding if sys.stdin else UTF_8))
    rest = b""
    is_cut = False  # the start of this line was yielded
    async for chunk in _in_utf_8(_chunks(fd)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not is_cut and (text := read(line)):
                yield text
            read.number += 1
            is_cut = False
        if is_cut:
            rest = b""
        elif len(rest) > LONGEST_LINE_BYTES:
            if text := read(rest, is_whole=False):
                yield text
            rest, is_cut = b"", True
    if text := read(rest):
        yield text


class _LineDecoder:
    """Decodes lines, and counts them for `UnreadableLine`."""

    def __init__(self, encoding: str) -> None:
        self.number = 1
        self._encoding = encoding
        self._is_utf_8 = codecs.lookup(encoding).name == UTF_8

    def __call__(self, line: bytes, *, is_whole: bool = True) -> str | UnreadableLine | None:
        """Decode a line or its start; None for a blank line."""
        if b"\0" in line:
            return UnreadableLine(self.number, "It holds a zero byte, as UTF-16 without a byte order mark does.")
        text = self._text(line.removesuffix(b"\r"), is_whole=is_whole)
        if text is None:
            tried = "UTF-8" if self._is_utf_8 else f"UTF-8 and not {self._encoding}"
            return UnreadableLine(self.number, f"It is not {tried}: convert it, or set LC_ALL to its encoding.")
        return text if text.strip() else None

    def _text(self, line: bytes, *, is_whole: bool) -> str | None:
        for encoding in (UTF_8, self._encoding):
            try:
                return codecs.getincrementaldecoder(encoding)().decode(line, final=is_whole)
            except UnicodeDecodeError:
                continue
        return None


async def _in_utf_8(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the chunks without a byte order mark; convert them to UTF-8 if the mark states another encoding."""
    begin = b""
    async for chunk in chunks:
        begin += chunk
        if len(begin) >= LONGEST_MARK or not any(mark.startswith(begin) for mark, _ in MARKS):
            break
    mark, encoding = next((row for row in MARKS if begin.startswith(row[0])), (b"", UTF_8))
    if encoding == UTF_8:
        yield begin.removeprefix(mark)
        async for chunk in chunks:
            yield chunk
        return
    decoder = codecs.getincrementaldecoder(encoding)(NO_CHARACTER)
    yield decoder.decode(begin.removeprefix(mark)).encode(errors="surrogatepass")
    async for chunk in chunks:
        yield decoder.decode(chunk).encode(errors="surrogatepass")
    yield decoder.decode(b"", final=True).encode(errors="surrogatepass")


async def _chunks(fd: int) -> AsyncGenerator[bytes, None]:
    """Yield chunks; a new thread reads each, since an event loop cannot wait for files, and a pipe may never end.

    The threads are daemons, so that the process can end during a read. No chunk is read ahead.
    """
    loop = asyncio.get_running_loop()
    while True:
        read: asyncio.Future[bytes] = loop.create_future()
        threading.Thread(target=_read_once, args=(fd, loop, read), daemon=True).start()
        if not (chunk := await read):
            return
        yield chunk


def _read_once(fd: int, loop: asyncio.AbstractEventLoop, read: asyncio.Future[bytes]) -> None:
    def hand_over(chunk: bytes) -> None:
        if not read.done():
            read.set_result(chunk)

    try:
        chunk = os.read(fd, CHUNK_BYTES)
    except OSError:  # closed
        chunk = b""
    try:
        loop.call_soon_threadsafe(hand_over, chunk)
    except RuntimeError:  # the loop has ended in the meantime
        return
