"""A terminal that can move its cursor: prompt_toolkit keeps the prompt at the bottom, what is shown goes above it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import print_formatted_text

from client.terminal.completion import Completion
from client.terminal.console import PROMPT
from client.terminal.input_line import InputLine, add_leaving, key_bindings
from client.terminal.lines import Line, fitted, without_colors
from client.terminal.palette import LINK, STYLE, link_target

# With a colour (the terminal's own), since without one the space at the end is not written, only jumped over: a program
# that waits for the prompt would wait in vain.
PROMPT_STYLE: Final = "fg:ansidefault"
GUTTER_AT_PROMPT: Final = "   | "
# OSC 8, which makes text a link: https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
# By the same id a terminal knows the parts of a link that was broken. The console of Linux shows the sequence as text.
OPEN_LINK: Final = "\x1b]8;id=link;{}\x1b\\"
CLOSE_LINK: Final = "\x1b]8;;\x1b\\"
WITHOUT_LINKS: Final = ("linux",)
RAW: Final = "[ZeroWidthEscape]"  # prompt_toolkit writes pieces of this style as they are
PLAIN_FORMS: Final = str.maketrans({"─": "-", "…": "..."})  # of what this client itself writes


class PromptConsole:
    """One prompt for all of the chat: it is not taken away between two lines, so that nothing can come in between."""

    echoes = False

    def __init__(self, completion: Completion, *, no_color: bool) -> None:
        self.status: Callable[[], str] = lambda: ""
        self._output = create_output()
        if isinstance(self._output, Vt100_Output):
            # The cursor's position is needed for menus only, and a terminal that does not tell it gets a warning shown.
            self._output.enable_cpr = False
        self._has_links = isinstance(self._output, Vt100_Output) and os.environ.get("TERM") not in WITHOUT_LINKS
        self._no_color = no_color
        self._depth = ColorDepth.DEPTH_1_BIT if no_color else None
        self._line = InputLine(completion)
        self._chat: PromptSession[str] = PromptSession(
            self._prompt,
            rprompt=lambda: self.status(),
            key_bindings=key_bindings(self._line),
            output=self._output,
            style=STYLE,
            color_depth=self._depth,
            prompt_continuation=lambda _width, _line, wrapped: "" if wrapped else GUTTER_AT_PROMPT,
            reserve_space_for_menu=0,
            complete_while_typing=False,
            enable_suspend=True,
            erase_when_done=True,
        )

        self._chat.default_buffer.accept_handler = self._accept
        self._chat.layout.current_window.height = self._height_of_line  # that of the line: it has the focus

    def _accept(self, buffer: Buffer) -> bool:
        """Enter the line by other keys than Enter (Alt-Enter, Ctrl-O), which would else end the prompt and the chat."""
        self._line.enter(buffer)
        return True

    def _height_of_line(self) -> Dimension:
        """Leave half of the screen to what is said and told, however long the line is."""
        return Dimension(max=max(1, self._output.get_size().rows // 2))

    async def ask(self, question: str) -> str:
        """Ask in a prompt of its own, which stays on the screen; Up does not bring the answer back in the chat."""
        bindings = KeyBindings()
        add_leaving(bindings, has_focus(DEFAULT_BUFFER))
        session: PromptSession[str] = PromptSession(
            [(PROMPT_STYLE, question)],
            key_bindings=bindings,
            output=self._output,
            reserve_space_for_menu=0,
            enable_suspend=True,
        )
        return await session.prompt_async(handle_sigint=False)

    async def read(self, on_entered: Callable[[str], bool]) -> None:
        """Give `on_entered` each line, until the person leaves or `close`. False from it: the line stays there."""
        self._line.on_entered = on_entered
        with contextlib.suppress(EOFError):
            await self._chat.prompt_async(handle_sigint=False)

    def begun(self) -> str:
        """Give the line at the prompt, or the one that is asked about."""
        return self._line.begun(self._chat.default_buffer)

    def close(self) -> None:
        """End `read`."""
        if self._chat.app.is_running and not self._chat.app.is_done:
            self._chat.app.exit(result="")

    def show(self, lines: list[Line]) -> None:
        """Take the prompt away, show the lines, and have the prompt drawn again below them."""
        app = self._chat.app
        if app.is_running:
            app.renderer.erase()
        columns = self._output.get_size().columns
        shown = [fitted(without_colors(line) if self._no_color else line, columns) for line in lines]
        pieces = [piece for line in shown for piece in (*line, ("", "\n"))]
        text = FormattedText(part for style, piece in pieces for part in self._written(style, piece))
        print_formatted_text(self._output, text, STYLE, color_depth=self._depth)
        app.invalidate()

    def ring(self) -> None:
        """Ring the bell."""
        self._output.bell()

    def refresh(self) -> None:
        """Show the status as it is now."""
        self._chat.app.invalidate()

    def _prompt(self) -> FormattedText:
        return FormattedText([(PROMPT_STYLE, self._line.question or PROMPT)])

    def _written(self, style: str, piece: str) -> Iterator[tuple[str, str]]:
        """Give a piece as it is written; of a link, in control sequences around it, where it leads."""
        text = self._in_encoding(piece)
        if not style.startswith(LINK):
            yield style, text
            return
        target = link_target(style) if self._has_links else ""
        if target:
            yield RAW, OPEN_LINK.format(target)
        yield LINK, text
        if target:
            yield RAW, CLOSE_LINK

    def _in_encoding(self, text: str) -> str:
        """Give the letters that the terminal does not have as their numbers."""
        encoding = self._output.encoding()
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(PLAIN_FORMS).encode(encoding, errors="backslashreplace").decode(encoding)
        return text
