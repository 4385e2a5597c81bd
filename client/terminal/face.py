"""The face for a person at a terminal."""

import asyncio
import sys
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout

from client.errors import CallRefused, ClientError
from client.listener import ConnectionState
from client.outgoing import send_until_stored
from client.participant import NewParticipant
from client.printable import line_of, printable, wrapped
from client.seat_file import by_name
from protocol.errors import ErrorCode
from protocol.messages import ChatMessage, ReceiveTypingParams

NAME_PROMPT: Final = "Enter your name: "
PROMPT: Final = "You: "
EXIT: Final = "exit"
MOST_UNSENT: Final = 100
LAST_WORDS_SECONDS: Final = 3.0


class Terminal:
    """A prompt below the chat. `name` None: the person is asked, again as long as the name will not do."""

    def __init__(self, new_participant: NewParticipant, server: str, name: str | None) -> None:
        self._participant = new_participant(self, None)
        self._server = server
        self._name = name
        self._prompt: PromptSession[str] = _prompt_session()
        self._unsent: asyncio.Queue[str] = asyncio.Queue(MOST_UNSENT)
        self._replaced = asyncio.Event()
        self._welcomed = False

    async def run(self) -> int:
        """Chat until the person leaves (0), or it cannot be done (1, told on stderr)."""
        try:
            await self._enter()
            with patch_stdout():
                return await self._chat()
        except EOFError:  # left at the question for the name
            return 0
        except ClientError as error:
            sys.stderr.write(f"{printable(str(error))}\n")
            return 1
        finally:
            await self._participant.leave()

    async def _enter(self) -> None:
        while True:
            name = self._name or (await self._ask(NAME_PROMPT)).strip()
            if not name:
                continue
            self._participant.recall(by_name(name))
            try:
                await self._participant.enter(name)
                return
            except CallRefused as error:
                if self._name or not _is_about_name(error):
                    raise
                _show(printable(str(error)))

    async def _chat(self) -> int:
        """Read and send side by side, so that `exit` works while the server is away."""
        reading = asyncio.create_task(self._read())
        tasks = [reading, asyncio.create_task(self._send()), asyncio.create_task(self._replaced.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return 1
            await reading
            await self._say_last_words()
            return 0
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # the prompt puts the terminal right again

    async def _read(self) -> None:
        """Take lines until the person has had enough."""
        while True:
            try:
                text = (await self._ask(PROMPT)).strip()
            except EOFError:
                return
            if text == EXIT:
                return
            if text:
                self._put(text)

    def _put(self, text: str) -> None:
        try:
            self._unsent.put_nowait(text)
        except asyncio.QueueFull:
            _show(f"[CLIENT] [ERROR] Not sent, {MOST_UNSENT} lines are waiting already: {printable(text)}")

    async def _send(self) -> None:
        while True:
            text = await self._unsent.get()
            try:
                await send_until_stored(self._participant, text)
            except ClientError as error:
                _show(f"[CLIENT] [ERROR] Not sent: {printable(text)}\n[CLIENT] [ERROR] {printable(str(error))}")
            self._unsent.task_done()

    async def _say_last_words(self) -> None:
        """Let what was typed before `exit` go out."""
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._unsent.join()
        except TimeoutError:
            _show("[CLIENT] [ERROR] The server is away: your last lines may not have been sent.")

    async def _ask(self, prompt: str) -> str:
        # With a colour (the terminal's own), since without one the space at the end is not written, only jumped over:
        # a program that waits for the prompt would wait in vain.
        return await self._prompt.prompt_async([("fg:ansidefault", prompt)], handle_sigint=False)

    def on_message(self, message: ChatMessage) -> None:
        """Show it, in lines that fit: one that the terminal breaks could go on as what poses as another."""
        _show(wrapped(line_of(message), self._prompt.output.get_size().columns))

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Say nothing: a line of its own would be too loud."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Tell what a person has to know, and end when another process has the seat."""
        if state is ConnectionState.ONLINE and not self._welcomed:
            self._welcomed = True
            _show(f"Welcome, {printable(self._participant.name)}! (ID: {printable(self._participant.id)})")
            _show(f"Connected to chat server at {self._server}")
            _show(f"Type your messages below (type '{EXIT}' to quit)")
        if detail:
            _show(f"[CLIENT] {printable(detail)}")
        if state is ConnectionState.REPLACED:
            self._replaced.set()


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _is_about_name(error: CallRefused) -> bool:
    return error.code in (ErrorCode.TAKEN, ErrorCode.INVALID_PARAMS) and error.data.get("field") == "name"


def _prompt_session() -> PromptSession[str]:
    bindings = KeyBindings()

    @bindings.add("c-c")
    def clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=EOFError)

    @bindings.add(Keys.Vt100MouseEvent, eager=True)
    def ignore(event: KeyPressEvent) -> None:
        """Keep prompt_toolkit from tripping over a colour that is pasted: to it `ESC[31m` begins a mouse event."""

    output = create_output()
    if isinstance(output, Vt100_Output):
        # The cursor's position is needed for menus only, and a terminal that does not tell it gets a warning shown.
        output.enable_cpr = False
    return PromptSession(key_bindings=bindings, output=output, reserve_space_for_menu=0)
