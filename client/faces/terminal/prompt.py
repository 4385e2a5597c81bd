"""A terminal with cursor control: prompt_toolkit keeps the prompt at the bottom and writes chat lines above it."""

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

from client.faces.terminal.completion import Completion
from client.faces.terminal.console import PROMPT
from client.faces.terminal.input_line import InputLine, add_leaving, key_bindings
from client.faces.terminal.lines import Line, fitted, without_colors
from client.faces.terminal.palette import LINK, STYLE, link_target

# With a colour (the terminal's default): without one, prompt_toolkit does not write the trailing space but moves the
# cursor over it, and a program that waits for the prompt (expect) would never see it.
PROMPT_STYLE: Final = "fg:ansidefault"
GUTTER_AT_PROMPT: Final = "   | "
# OSC 8 makes text a link: https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
# The shared id connects the parts of a wrapped link. The Linux console prints the sequence as text.
OPEN_LINK: Final = "\x1b]8;id=link;{}\x1b\\"
CLOSE_LINK: Final = "\x1b]8;;\x1b\\"
WITHOUT_LINKS: Final = ("linux",)
RAW: Final = "[ZeroWidthEscape]"  # prompt_toolkit writes pieces of this style as they are
PLAIN_FORMS: Final = str.maketrans({"─": "-", "…": "..."})  # replacements for symbols that this client itself writes


class PromptConsole:
    """A single prompt for the whole chat: it stays active between two lines, so that no output can get in between."""

    echoes = False

    def __init__(self, completion: Completion, *, no_color: bool) -> None:
        self.status: Callable[[], str] = lambda: ""
        self._output = create_output()
        if isinstance(self._output, Vt100_Output):
            # Only menus need the cursor position; without its report, prompt_toolkit shows a warning.
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
        self._chat.layout.current_window.height = self._height_of_line  # the focused window is that of the input line

    def _accept(self, buffer: Buffer) -> bool:
        """Enter the line at Alt-Enter and Ctrl-O too: by default they would end the prompt and thus the chat."""
        self._line.enter(buffer)
        return True

    def _height_of_line(self) -> Dimension:
        """Return the maximal height of the input line: half of the screen, so that the chat stays visible."""
        return Dimension(max=max(1, self._output.get_size().rows // 2))

    async def ask(self, question: str) -> str:
        """Ask in a separate prompt, which stays on the screen. The entered line is not added to the chat's history."""
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
        """Call `on_entered` with each line, until the person leaves or `close`. If it returns False, the line stays."""
        self._line.on_entered = on_entered
        with contextlib.suppress(EOFError):
            await self._chat.prompt_async(handle_sigint=False)

    def begun(self) -> str:
        """Return the text at the prompt, or the text that the current question is about."""
        return self._line.begun(self._chat.default_buffer)

    def close(self) -> None:
        """End `read`."""
        if self._chat.app.is_running and not self._chat.app.is_done:
            self._chat.app.exit(result="")

    def show(self, lines: list[Line]) -> None:
        """Erase the prompt, write the lines, and schedule a redraw of the prompt below them."""
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
        """Sound the terminal's bell."""
        self._output.bell()

    def refresh(self) -> None:
        """Draw the status again."""
        self._chat.app.invalidate()

    def _prompt(self) -> FormattedText:
        return FormattedText([(PROMPT_STYLE, self._line.question or PROMPT)])

    def _written(self, style: str, piece: str) -> Iterator[tuple[str, str]]:
        """Yield a piece as prompt_toolkit fragments; a link gets control sequences with its URL around it."""
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
        """Return the text with characters outside the terminal's encoding as backslash escapes."""
        encoding = self._output.encoding()
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.translate(PLAIN_FORMS).encode(encoding, errors="backslashreplace").decode(encoding)
        return text
