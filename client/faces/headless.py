"""The face without a person: a participant that prints all messages (`docker compose logs client`)."""

import asyncio
import io
import itertools
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from client.errors import CallRefused, ServerUnreachable
from client.faces.pipe.lines_out import LinesOut
from client.faces.text import line_of, printable
from client.session.backoff import LONGEST_DELAY, backoff
from client.session.inbox import NotNow
from client.session.listener import ConnectionState
from client.session.participant import NewParticipant
from client.session.registration_file import by_name
from protocol.errors import ErrorCode
from protocol.messages import ChatMessage, ReceiveTypingParams
from protocol.methods import MAX_NAME_CHARS

# If the response to Register was lost, the orphaned member of that registration may still have the name. The server
# detects its closed callback with a probe within 15 s. Six tries, 0.5 s apart and doubling to 10, take longer.
GHOST_TRIES: Final = 6

OPEN_PAGE: Final = "Chat in a browser: "


RETRY_SECONDS: Final = 1.0


async def serve_page(page: str, server: str, out: io.TextIOBase) -> int:
    """Print the addresses, without joining, and wait for cancellation. `out` neither blocks nor raises."""
    out.write(f"[CLIENT] {OPEN_PAGE}{page}\n[CLIENT] Chat server: {server}\n")
    await asyncio.Event().wait()
    return 0


def numbered(name: str, number: int) -> str:
    """Return `name` for number 1, else `name-2`, `name-3` …, cut to the length limit."""
    suffix = "" if number == 1 else f"-{number}"
    return name[: MAX_NAME_CHARS - len(suffix)] + suffix


class Headless:
    """Joins, however many tries that takes, and prints. `name` None: `client-` and the host name (a container's id)."""

    def __init__(
        self,
        new_participant: NewParticipant,
        server: str,
        name: str | None,
        page: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._participant = new_participant(self, None)
        self._server = server
        self._name = name or f"client-{socket.gethostname()}"
        self._page = page
        self._sleep = sleep
        self._over = asyncio.Event()
        self._problem = ""
        self._out = LinesOut(sys.stdout)
        self._retrying: asyncio.TimerHandle | None = None
        self._is_in = False

    async def run(self) -> int:
        """Run until cancelled, or until the participant is REPLACED or output fails (exit code 1).

        Exit code 2: the server will never accept the name.
        """
        if sys.stdout is None:
            self._end("it is closed")
        self._say(f"[CLIENT] {OPEN_PAGE}{self._page}")
        try:
            if not await self._register():
                return 2
            await self._over.wait()
            return 1
        finally:
            await self._participant.leave()

    async def _register(self) -> bool:
        """Register under the first free name, until success or the end. False: the server never accepts the name."""
        names = self._names()
        name = next(names)
        delays = backoff()
        ghost_tries = 0
        while not self._over.is_set():
            try:
                await self._participant.enter(name)
                return True
            except (CallRefused, ServerUnreachable) as error:
                code = error.code if isinstance(error, CallRefused) else None
                if code is None:
                    ghost_tries = GHOST_TRIES
                if code == ErrorCode.TAKEN and not ghost_tries:
                    name = next(names)
                    continue
                ghost_tries -= code == ErrorCode.TAKEN
                if code == ErrorCode.INVALID_PARAMS:
                    self._complain(str(error))
                    return False
                self._complain(f"{error} Trying again until it works.")
                await self._sleep(max(next(delays), min(error.retry_after or 0.0, LONGEST_DELAY)))
        return True

    def _names(self) -> Iterator[str]:
        """Yield the name of the stored registration, then numbered names in case it is in use now."""
        remembered = self._participant.recall(by_name(self._name))
        if remembered is not None:
            yield remembered
        yield from (numbered(self._name, number) for number in itertools.count(1))

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._say(f"[CLIENT] [ERROR] {printable(problem)}")

    def _say(self, line: str) -> None:
        """Print a line that is not a message."""
        self._print(lambda: self._out.tell(line))

    def _print(self, write: Callable[[], None]) -> None:
        try:
            write()
        except NotNow:
            self._retrying = self._retrying or asyncio.get_running_loop().call_later(RETRY_SECONDS, self._print_rest)
        except OSError as error:
            self._end((error.strerror or str(error)).lower())

    def _print_rest(self) -> None:
        self._retrying = None
        self._print(self._out.write_rest)

    def _end(self, why: str) -> None:
        """End a client that cannot print any more."""
        if not self._over.is_set():
            self._over.set()
            told = f"Cannot write to standard output: {why}. This client ends; --face page needs no output"
            sys.stderr.write(f"[CLIENT] [ERROR] {told}\n")

    def on_message(self, message: ChatMessage) -> None:
        """Print the message. Raise `NotNow` while the reader is too slow or when this client ends."""
        if self._over.is_set():
            raise NotNow
        try:
            self._out.write(line_of(message))
        except OSError as error:
            self._end((error.strerror or str(error)).lower())
            raise NotNow from None

    def on_typing(self, who: ReceiveTypingParams) -> None:
        """Ignore typing notifications."""

    def on_state(self, state: ConnectionState, detail: str) -> None:
        """Print state changes, and end on REPLACED."""
        was_in, self._is_in = self._is_in, state is ConnectionState.ONLINE
        if self._is_in and not was_in:
            me = self._participant
            self._problem = ""
            self._say(f"[CLIENT] Joined as {printable(me.name)} (ID: {printable(me.id)}) at {self._server}")
        if detail:
            self._say(f"[CLIENT] {printable(detail)}")
        if state is ConnectionState.REPLACED:
            self._over.set()
