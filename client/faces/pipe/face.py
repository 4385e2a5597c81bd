"""The terminal face if stdin or stdout is not a terminal: reads and prints lines; other output goes to stderr."""

import asyncio
import os
import sys
from typing import Any, Final

from client.errors import ClientError
from client.faces.pipe.lines_in import UnreadableLine, read_lines
from client.faces.pipe.lines_out import LinesOut
from client.faces.terminal.typed import NAME_PROMPT, NOTHING_SENT, Leave, Mistake, Nick, Say, read_typed
from client.faces.text import line_of, printable
from client.session.inbox import NotNow
from client.session.listener import ConnectionState
from client.session.participant import NewParticipant
from client.session.registration_file import by_name
from client.session.sending import send_until_stored
from protocol.messages import ChatMessage, ReceiveTypingParams

LONGEST_TOLD_CHARS: Final = 60  # of an unsent line
PATIENCE_SECONDS: Final = 60.0


class PipedTerminal:
    """Sends the lines from `fd` until its end. `name` None: the first line is the name.

    Commands work only if `fd` is a terminal: in a pipe, `exit` is ordinary text.
    """

    def __init__(self, new_participant: NewParticipant, server: str, name: str | None, fd: int = 0) -> None:
        self._participant = new_participant(self, None)
        self._server = server
        self._name = name
        self._is_typed = os.isatty(fd)
        self._lines = read_lines(fd)
        self._out = LinesOut(sys.stdout)
        self._failed = False
        self._unsent = ""  # the line being sent
        self._is_anything_said = False
        self._is_all_read = False
        self._over = asyncio.Event()

    async def run(self) -> int:
        """Return 0 if all lines were sent, else 1 with a report on stderr, also when a signal interrupts."""
        try:
            return await self._run()
        except asyncio.CancelledError:
            if self._unsent:
                self._fail(f"Stopped, not sent: {_begin(self._unsent)}")
            elif not (self._is_all_read or self._is_typed):
                self._fail("Stopped before the end of the input: some lines may not have been sent.")
            if self._failed:
                return 1
            raise

    async def _run(self) -> int:
        try:
            name = self._name or await self._read_name()
            if not name:
                self._fail("A name is needed: --name, CHAT_NAME or the first line.")
                return 1
            self._participant.recall(by_name(name))
            await self._participant.enter(name)
            await self._chat()
            self._tell_of_name_alone(name)
        except ClientError as error:
            _complain(str(error))
            return 1
        finally:
            await self._participant.leave()
        return 1 if self._failed else 0

    async def _read_name(self) -> str:
        if self._is_typed:  # a person reads stderr, even if stdout goes elsewhere
            sys.stderr.write(NAME_PROMPT)
            sys.stderr.flush()
        line = await anext(self._lines, "")
        if isinstance(line, UnreadableLine):
            self._refuse(line)
            return ""
        return line.strip()

    def _tell_of_name_alone(self, name: str) -> None:
        """Report that the only line was used as the name, as `--name` was missing."""
        if not (self._name or self._is_typed or self._is_anything_said or self._failed):
            self._fail(f"Nothing was sent: the first line was taken as the name, {_begin(name)}. Give it with --name.")

    async def _chat(self) -> None:
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._say_lines()),
            asyncio.create_task(self._over.wait()),
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()  # raises the exception of a failed task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._unsent:
            self._fail(f"Not sent: {_begin(self._unsent)}")

    async def _say_lines(self) -> None:
        async for line in self._lines:
            if isinstance(line, UnreadableLine):
                self._refuse(line)
            elif not await self._takes(line):
                break
        self._is_all_read = True

    async def _takes(self, line: str) -> bool:
        """Send the line, or execute its command if `fd` is a terminal; return False to leave."""
        match read_typed(line) if self._is_typed else Say(line):
            case Say(text):
                return await self._say(text)
            case Leave(word):
                if word:
                    await self._say(word)
                return False
            case Mistake(sentence):
                _complain(sentence)
            case Nick(name):
                await self._rename(name)
            case _:
                _complain(f"{line.split()[0]} needs a terminal to show its answer. {NOTHING_SENT}")
        return True

    async def _rename(self, name: str) -> None:
        try:
            _complain(f"You are {await self._participant.rename(name)} now.")
        except ClientError as error:
            _complain(str(error))

    async def _say(self, line: str) -> bool:
        """Send the line; return False if further lines cannot be sent."""
        self._is_anything_said = True
        self._unsent = line
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await send_until_stored(self._participant, line)
        except ClientError as error:
            self._fail(f"Not sent: {_begin(line)}: {error}")
        except TimeoutError:
            self._fail(f"Not sent, the server was away for {PATIENCE_SECONDS:.0f} s: {_begin(line)}")
            self._over.set()
        self._unsent = ""
        return not self._over.is_set()

    def _refuse(self, line: UnreadableLine) -> None:
        self._fail(f"Line {line.number} was not sent. {line.problem}")

    def _fail(self, sentence: str) -> None:
        self._failed = True
        _complain(sentence)

    def on_message(self, message: ChatMessage) -> None:
        """Print the message. Raise `NotNow` while the reader is too slow, and when the message cannot be written.

        In both cases the message is not acknowledged and arrives again, also at the next start.
        """
        if self._over.is_set():
            raise NotNow
        try:
            self._out.write(line_of(message))
        except OSError as error:
            if not isinstance(error, BrokenPipeError):  # the reader has ended, such as in `… | head`
                self._fail(f"Cannot write messages: {error.strerror}.")
            self._over.set()
            raise NotNow from None

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Ignore typing notifications."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Print state changes, and end on REPLACED."""
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
