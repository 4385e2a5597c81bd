"""Lines from stdin, whatever it is: a pipe, a file, a terminal that edits by itself."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from typing import Final

CHUNK_BYTES: Final = 65536
LONGEST_LINE_BYTES: Final = 65536  # beyond any text that the server takes (4,096 characters)


async def read_lines(fd: int) -> AsyncGenerator[str, None]:
    """Give the lines that are not blank, without the white space around them.

    Of one that is longer than any text may be only the begin is given, white space and all: too long to be taken for
    the whole, and what follows up to the next line break is no line of its own.
    """
    rest = b""
    is_cut = False  # the begin of this line has been given
    async for chunk in _chunks(fd):
        *lines, rest = (rest + chunk).split(b"\n")
        if is_cut and lines:
            is_cut = False
            del lines[0]
        for line in lines:
            if text := line.decode(errors="replace").strip():
                yield text
        if is_cut:
            rest = b""
        elif len(rest) > LONGEST_LINE_BYTES:
            yield rest.decode(errors="replace")
            rest, is_cut = b"", True
    if text := rest.decode(errors="replace").strip():
        yield text


async def _chunks(fd: int) -> AsyncGenerator[bytes, None]:
    """Read in a thread each time: stdin may be a file, which no event loop can wait for, or a pipe that never ends.

    A daemon thread, as the process must be able to end while one waits; nothing is read ahead.
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
    except RuntimeError:  # the loop has ended meanwhile
        return
