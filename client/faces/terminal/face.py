"""The terminal face: registers, shows messages and sends the lines that the person types."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterable
from typing import Any, Final

from prompt_toolkit.utils import is_dumb_terminal

from client.errors import CallRefused, ClientError
from client.faces.terminal.commands import Commands
from client.faces.terminal.completion import Candidates, Completion, candidates
from client.faces.terminal.console import Console
from client.faces.terminal.dumb import DumbConsole
from client.faces.terminal.lines import Line, mentions, quiet
from client.faces.terminal.outage import Outage
from client.faces.terminal.outbox import Outbox
from client.faces.terminal.people import People
from client.faces.terminal.prompt import PromptConsole
from client.faces.terminal.transcript import Transcript
from client.faces.terminal.typed import (
    COMMANDS,
    EXIT,
    NAME_PROMPT,
    Help,
    History,
    Leave,
    Mistake,
    Nick,
    Say,
    Who,
    read_typed,
)
from client.faces.text import printable
from client.session.catch_up import CatchUp
from client.session.listener import ConnectionState
from client.session.participant import NewParticipant
from client.session.registration_file import by_name
from protocol.messages import ChatMessage, ReceiveTypingParams

RECAP_LINES: Final = 50
MOST_ASKED: Final = 100
LAST_WORDS_SECONDS: Final = 3.0  # for each line that is still unsent when the person leaves
MANY_LAST_WORDS: Final = 10  # from here on the person is told how many lines are unsent: sending them takes a while
LONGEST_TOLD_CHARS: Final = 60  # of a line in the report of unsent lines


class Terminal:
    """The chat with a prompt below it.

    `name` None: ask the person, again until the server accepts the name. `bell`: sound the terminal's bell when a
    message mentions the person.
    """

    def __init__(
        self,
        new_participant: NewParticipant,
        server: str,
        name: str | None,
        *,
        no_color: bool = False,
        bell: bool = False,
    ) -> None:
        self._participant = new_participant(self, None)
        self._participant.keeps_name = True
        self._participant.request_catch_up(RECAP_LINES, self._on_catch_up)
        self._server = server
        self._name = name
        self._bell = bell
        self._people = People()
        completion = Completion(self._candidates)
        self._console: Console = DumbConsole() if is_dumb_terminal() else PromptConsole(completion, no_color=no_color)
        self._transcript = Transcript(self._participant, names_with=self._people.names_with)
        self._commands = Commands(self._participant, self._transcript, self._people, self._console.show)
        self._outage = Outage(self._participant, self._console)
        self._outbox = Outbox(self._participant, self._commands.carry_out, self._on_refused)
        self._asked: asyncio.Queue[Help | Who | History | Nick] = asyncio.Queue(MOST_ASKED)
        self._replaced = asyncio.Event()
        self._begun = ""
        self._is_away = False  # the process was stopped and the person did not leave: the server keeps the name
        self._welcomed = False

    async def run(self) -> int:
        """Chat until the person leaves, and return the exit code.

        0: all lines were sent. 1: a line was not sent, or an error (written to stderr) ended the chat.
        """
        try:
            await self._enter()
            code = await self._chat()
            return 1 if self._tell_unsent() else code
        except EOFError:  # the person left at the prompt for the name
            return 0
        except ClientError as error:
            sys.stderr.write(f"{printable(str(error))}\n")
            return 1
        except asyncio.CancelledError as stop:  # by a signal; only SIGINT (Ctrl-C) means that the person leaves
            self._is_away = stop.args != (signal.SIGINT.name,)
            if self._tell_unsent():
                return 1
            raise
        except Exception as error:  # a bug: report it as such, and the lines that were not sent
            sys.stderr.write(f"[CLIENT] [ERROR] Internal error in this client: {printable(repr(error))}\n")
            self._tell_unsent()
            return 1
        finally:
            # Closing the window may end the input before SIGHUP arrives; stdin is then not a terminal any more.
            await self._participant.leave(away=self._is_away or not sys.stdin.isatty())

    async def _enter(self) -> None:
        while True:
            name = self._name or (await self._console.ask(NAME_PROMPT)).strip()
            if not name:
                continue
            self._participant.recall(by_name(name))
            try:
                await self._participant.enter(name)
                return
            except CallRefused as error:
                if self._name or not error.is_about_name:
                    raise
                self._console.show([[("", printable(str(error)))]])

    async def _chat(self) -> int:
        """Run reading, sending and commands concurrently, so that the person can leave while the server is away."""
        reading = asyncio.create_task(self._console.read(self._on_entered))
        others = [self._outbox.empty(), self._carry_out(), self._outage.count_down(), self._replaced.wait()]
        tasks = [reading, *map(asyncio.ensure_future, others)]
        try:
            await _until_first_ends(tasks)
            if not reading.done():
                return 1
            tasks[0] = asyncio.ensure_future(self._say_last_words())
            await _until_first_ends(tasks)
            return 0
        finally:
            if not reading.done():
                self._begun = self._console.begun()  # cancelling the prompt loses its text
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # the prompt restores the terminal's mode when it ends

    def _on_entered(self, line: str) -> bool:
        """Act on an entered line. Return False if the line is to stay at the prompt."""
        match read_typed(line):
            case Say(text):
                self._say(text)
            case Leave(word):
                self._say(word)
                self._console.close()
            case Mistake(sentence, worth_keeping):
                self._tell_error(sentence)
                return not worth_keeping
            case Nick() as nick if not self._participant.lacks_name:  # else the queued lines wait for the new name
                self._outbox.put(nick)
            case command:
                with contextlib.suppress(asyncio.QueueFull):  # a person does not wait for that many results
                    self._asked.put_nowait(command)
        return True

    def _say(self, text: str) -> None:
        if not text:
            return
        self._outbox.put(Say(text))
        if not self._console.echoes:
            self._console.show(self._transcript.own(text))

    def _on_refused(self, text: str, error: ClientError) -> None:
        self._tell_error(f"Not sent: {printable(text)}")
        self._tell_error(printable(str(error)))

    async def _carry_out(self) -> None:
        while True:
            await self._commands.carry_out(await self._asked.get())

    async def _say_last_words(self) -> None:
        """Send the lines typed before leaving; give up after `LAST_WORDS_SECONDS` without progress."""
        if (count := len(self._outbox.unsent())) >= MANY_LAST_WORDS:
            self._tell(f"{count:,} lines are still to be sent. Ctrl-C leaves without them.")
        await self._outbox.wait_until_empty(LAST_WORDS_SECONDS)

    def _tell_unsent(self) -> bool:
        """Report the lines that were entered but not sent, and return whether there are any.

        A line that was typed but not entered is shown too, so that it can be copied; it does not count as unsent.
        """
        unsent = self._outbox.unsent()
        with contextlib.suppress(OSError):  # the window may be closed
            if unsent:
                is_away = self._participant.state is ConnectionState.RECONNECTING
                self._tell_error(("The server is away. " if is_away else "") + _counted(unsent))
            if self._begun.strip():
                self._tell_error(f"Not sent: {printable(self._begun)}")
        return bool(unsent)

    def _candidates(self, text: str) -> Candidates:
        return candidates(text, self._people.names(), (f"/{name}" for name in COMMANDS))

    def _tell(self, sentence: str) -> None:
        self._console.show(self._transcript.client(sentence))

    def _tell_error(self, sentence: str) -> None:
        self._console.show(self._transcript.error(sentence))

    def _on_catch_up(self, catch_up: CatchUp) -> None:
        """Show the end of the log at the first registration, and the missed messages at a later one."""
        self._people.recall(catch_up.messages)
        self._console.show(self._transcript.back(catch_up) if catch_up.again else self._transcript.catch_up(catch_up))
        self._ring(catch_up.missed)

    def on_message(self, message: ChatMessage) -> None:
        """Show a message, and sound the bell if it mentions the person."""
        self._people.hear(message, self._participant.id)
        self._console.show(self._transcript.message(message))
        self._ring([message])

    def _ring(self, messages: list[ChatMessage]) -> None:
        others = self._people.names_with(self._participant.name)
        if self._bell and any(mentions(message, self._participant, others) for message in messages):
            self._console.ring()

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Do nothing: a line for each typing notification would be too much."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Show the state's `detail`, and end the chat when the registration is lost (REPLACED)."""
        if state is ConnectionState.RECONNECTING:
            self._outage.tell(self._tell, detail)
            return
        if state is ConnectionState.ONLINE:
            self._outage.end()
            self._outbox.try_again()
            self._note_who_is_here()
            self._welcome()
        if detail:
            self._tell(printable(detail))
        if state is ConnectionState.REPLACED:
            self._replaced.set()

    def _note_who_is_here(self) -> None:
        if registration := self._participant.registration:
            are_all = registration.member_count == len(registration.members) + 1
            self._people.note(registration.members, registration.id, are_all=are_all)
            if self._transcript.before is None:
                self._transcript.before = registration.cursor + 1

    def _welcome(self) -> None:
        if self._welcomed:
            return
        self._welcomed = True
        me = self._participant
        lines: list[Line] = [
            [("", f"Welcome, {printable(me.name)}! (ID: {printable(me.id)})")],
            [("", f"Connected to chat server at {self._server}")],
            [("", f"Type your messages below (type '{EXIT}' to quit)")],
            quiet("/help shows the commands and keys"),
        ]
        self._console.show(lines)


async def _until_first_ends(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Wait until the first task ends, and raise its exception if it failed."""
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()


def _counted(unsent: list[str]) -> str:
    """Return a sentence with the number of unsent lines, and the first and last of them to show where to resume."""
    if len(unsent) == 1:
        return f"Not sent, 1 line: {_begin(unsent[0])}"
    return f"Not sent, {len(unsent):,} lines: {_begin(unsent[0])} … {_begin(unsent[-1])}"


def _begin(text: str) -> str:
    return printable(text if len(text) <= LONGEST_TOLD_CHARS else f"{text[:LONGEST_TOLD_CHARS]}…")
