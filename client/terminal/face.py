"""The face itself: takes the seat, and brings together what is said, typed and shown."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterable
from typing import Any, Final

from prompt_toolkit.utils import is_dumb_terminal

from client.errors import CallRefused, ClientError
from client.listener import ConnectionState
from client.participant import NewParticipant
from client.printable import printable
from client.recap import Recap
from client.seat_file import by_name
from client.terminal.commands import Commands
from client.terminal.completion import Candidates, Completion, candidates
from client.terminal.console import Console
from client.terminal.dumb import DumbConsole
from client.terminal.lines import Line, mentions, quiet
from client.terminal.outage import Outage
from client.terminal.outbox import Outbox
from client.terminal.people import People
from client.terminal.prompt import PromptConsole
from client.terminal.transcript import Transcript
from client.terminal.typed import (
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
from protocol.messages import ChatMessage, ReceiveTypingParams

RECAP_LINES: Final = 50
MOST_ASKED: Final = 100
LAST_WORDS_SECONDS: Final = 3.0  # for each of the lines that are still to be sent
MANY_LAST_WORDS: Final = 10  # it takes a while: that is told
LONGEST_TOLD_CHARS: Final = 60  # of a line that was not sent


class Terminal:
    """A prompt below the chat. `name` None: the person is asked, again as long as the name will not do.

    `bell`: it rings when somebody says one's name.
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
        self._participant.ask_for_recap(RECAP_LINES, self._on_recap)
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
        self._is_away = False  # at the end: stopped, and not left
        self._welcomed = False

    async def run(self) -> int:
        """Chat until the person leaves (0), or it cannot be done (1, told on stderr); 1, too, if a line is not sent."""
        try:
            await self._enter()
            code = await self._chat()
            return 1 if self._tell_unsent() else code
        except EOFError:  # left at the question for the name
            return 0
        except ClientError as error:
            sys.stderr.write(f"{printable(str(error))}\n")
            return 1
        except asyncio.CancelledError as stop:  # by a signal; of these only Ctrl-C means that the person leaves
            self._is_away = stop.args != (signal.SIGINT.name,)
            if self._tell_unsent():
                return 1
            raise
        except Exception as error:  # a bug: who sits there shall know that it is one, and what got lost
            sys.stderr.write(f"[CLIENT] [ERROR] This client has failed within: {printable(repr(error))}\n")
            self._tell_unsent()
            return 1
        finally:
            # A window that is closed may end the input before its signal comes; then it is no terminal any more.
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
        """Read, send and ask side by side, so that one can leave while the server is away."""
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
                self._begun = self._console.begun()  # the prompt goes, and with it what stands there
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # the prompt puts the terminal right again

    def _on_entered(self, line: str) -> bool:
        """Do what was entered; False: the line stays at the prompt."""
        match read_typed(line):
            case Say(text):
                self._say(text)
            case Leave(word):
                self._say(word)
                self._console.close()
            case Mistake(sentence, worth_keeping):
                self._tell_error(sentence)
                return not worth_keeping
            case Nick() as nick if not self._participant.lacks_name:  # else it is what the lines wait for
                self._outbox.put(nick)
            case command:
                with contextlib.suppress(asyncio.QueueFull):  # nobody waits for that many answers
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
        """Let what was typed before leaving go out, for as long as it does."""
        if (count := len(self._outbox.unsent())) >= MANY_LAST_WORDS:
            self._tell(f"{count:,} lines are still to be sent. Ctrl-C leaves without them.")
        await self._outbox.wait_until_empty(LAST_WORDS_SECONDS)

    def _tell_unsent(self) -> bool:
        """Tell at the end what was shown as said and did not go out, and whether there is any such thing.

        What was only begun is shown once more, to be copied: it was never said.
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

    def _on_recap(self, recap: Recap) -> None:
        """Show to one who enters the end of the log, to one who was cut off what was missed."""
        self._people.recall(recap.messages)
        self._console.show(self._transcript.back(recap) if recap.again else self._transcript.recap(recap))
        self._ring(recap.missed)

    def on_message(self, message: ChatMessage) -> None:
        """Show it."""
        self._people.hear(message, self._participant.id)
        self._console.show(self._transcript.message(message))
        self._ring([message])

    def _ring(self, messages: list[ChatMessage]) -> None:
        others = self._people.names_with(self._participant.name)
        if self._bell and any(mentions(message, self._participant, others) for message in messages):
            self._console.ring()

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Say nothing: a line of its own would be too loud."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Tell what a person has to know, and end when another process has the seat."""
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
            quiet("/help tells the commands and keys"),
        ]
        self._console.show(lines)


async def _until_first_ends(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Wait for one of them; what it failed with is raised here."""
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()


def _counted(unsent: list[str]) -> str:
    """Say how many lines were not sent, and which: the first and the last one tell where to go on."""
    if len(unsent) == 1:
        return f"Not sent, 1 line: {_begin(unsent[0])}"
    return f"Not sent, {len(unsent):,} lines: {_begin(unsent[0])} … {_begin(unsent[-1])}"


def _begin(text: str) -> str:
    return printable(text if len(text) <= LONGEST_TOLD_CHARS else f"{text[:LONGEST_TOLD_CHARS]}…")
