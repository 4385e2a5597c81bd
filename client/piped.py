"""The terminal's face when stdin or stdout is no terminal: lines in, lines out; what is not chat goes to stderr."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Final

from client.errors import ClientError
from client.listener import ConnectionState
from client.outgoing import send_until_stored
from client.participant import NewParticipant
from client.printable import line_of, printable
from client.seat_file import by_name
from client.terminal.typed import EXIT, NAME_PROMPT
from protocol.messages import ChatMessage, ReceiveTypingParams

CHUNK_BYTES: Final = 65536
LONGEST_LINE_BYTES: Final = 65536  # beyond any text that the server takes (4,096 characters)
LONGEST_TOLD_CHARS: Final = 60  # of a line that was not sent
PATIENCE_SECONDS: Final = 60.0


class PipedTerminal:
    """Says what comes in on `fd`, line by line, until its end or `exit`. `name` None: the first line is the name."""

    def __init__(self, new_participant: NewParticipant, server: str, name: str | None, fd: int = 0) -> None:
        self._participant = new_participant(self, None)
        self._server = server
        self._name = name
        self._is_typed = os.isatty(fd)
        self._lines = read_lines(fd)
        self._failed = False
        self._over = asyncio.Event()

    async def run(self) -> int:
        """Give 0 when every line was sent, else 1 (told on stderr)."""
        try:
            name = self._name or await self._read_name()
            if not name:
                _complain("A name is needed: --name, CHAT_NAME or the first line.")
                return 1
            self._participant.recall(by_name(name))
            await self._participant.enter(name)
            await self._chat()
        except ClientError as error:
            _complain(str(error))
            return 1
        finally:
            await self._participant.leave()
        return 1 if self._failed else 0

    async def _read_name(self) -> str:
        if self._is_typed:  # somebody sits there, and reads stderr while stdout goes elsewhere
            sys.stderr.write(NAME_PROMPT)
            sys.stderr.flush()
        return await anext(self._lines, "")

    async def _chat(self) -> None:
        tasks = [asyncio.create_task(self._say_lines()), asyncio.create_task(self._over.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_lines(self) -> None:
        async for line in self._lines:
            if line == EXIT:
                return
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await send_until_stored(self._participant, line)
            except ClientError as error:
                self._fail(f"Not sent: {_begin(line)}: {error}")
            except TimeoutError:
                self._fail(f"Not sent, the server was away for {PATIENCE_SECONDS:.0f} s: {_begin(line)}")
                return

    def _fail(self, sentence: str) -> None:
        self._failed = True
        _complain(sentence)

    def on_message(self, message: ChatMessage) -> None:
        """Show it. Raises `BrokenPipeError` when nobody reads any more: then it was not taken, and comes next time."""
        if self._over.is_set():
            raise BrokenPipeError
        try:
            sys.stdout.write(line_of(message) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # as of `… | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
            self._over.set()
            raise

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Say nothing: it is no line of the chat."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Tell what a person has to know, and end when another process has the seat."""
        if state is ConnectionState.REPLACED:
            self._fail(detail)
            self._over.set()
        elif detail:
            _complain(detail)


def _begin(line: str) -> str:
    return line if len(line) <= LONGEST_TOLD_CHARS else f"{line[:LONGEST_TOLD_CHARS]}…"


def _complain(sentence: str) -> None:
    sys.stderr.write(f"[CLIENT] {printable(sentence)}\n")
    sys.stderr.flush()


async def read_lines(fd: int) -> AsyncGenerator[str, None]:
    """Give the lines that are not blank, without the white space around them; an endless one comes in pieces."""
    rest = b""
    async for chunk in _chunks(fd):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            if text := line.decode(errors="replace").strip():
                yield text
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
