"""The input line: entering, completing and clearing it, and a question before sending several lines as a message."""

from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, Filter, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from client.faces.terminal.completion import Completion

NO_ANSWERS = frozenset({Keys.BracketedPaste, Keys.Vt100MouseEvent, Keys.WindowsMouseEvent, Keys.CPRResponse})


class InputLine:
    """The actions of the keys. While `question` is not empty, it replaces the prompt until a key answers it."""

    def __init__(self, completion: Completion) -> None:
        self.question = ""
        self.on_entered: Callable[[str], bool] = lambda _: True
        self._completion = completion
        self._held = Document()

    def enter(self, buffer: Buffer) -> None:
        """Pass the text to `on_entered`; if it has several lines, ask first."""
        if "\n" in buffer.text.strip("\n"):
            self._ask(buffer)
        else:
            self._hand_over(buffer)

    def paste(self, buffer: Buffer, data: str) -> None:
        """Insert pasted text without its trailing line breaks: they do not count as Enter. Ask if it is multi-line."""
        buffer.insert_text(data.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n"))
        if "\n" in buffer.text.strip("\n"):
            self._ask(buffer)

    def answer(self, buffer: Buffer, key: str) -> None:
        """Send the lines if `key` is `y` or `Y`. Any other key puts them back into the input line."""
        self.question = ""
        buffer.document = self._held
        if key in ("y", "Y"):
            self._hand_over(buffer)

    def begun(self, buffer: Buffer) -> str:
        """Return the text that was not entered yet."""
        return self._held.text if self.question else buffer.text

    def complete(self, buffer: Buffer, step: int) -> None:
        """Complete the text before the cursor; when repeated, with the next candidate."""
        buffer.document = self._completion.next(buffer.document, step)

    def _ask(self, buffer: Buffer) -> None:
        count = buffer.text.strip("\n").count("\n") + 1
        self.question = f"Send {count:,} lines as one message? [y/N] "
        self._held = buffer.document
        buffer.text = ""

    def _hand_over(self, buffer: Buffer) -> None:
        if self.on_entered(buffer.text):
            buffer.append_to_history()
            buffer.reset()


def key_bindings(line: InputLine) -> KeyBindings:
    """Return the key bindings of the input line; prompt_toolkit adds those of readline."""
    bindings = KeyBindings()
    is_asking = Condition(lambda: bool(line.question))
    is_in_line = has_focus(DEFAULT_BUFFER) & ~is_asking

    @bindings.add("enter", filter=is_in_line)
    def enter(event: KeyPressEvent) -> None:
        line.enter(event.current_buffer)

    @bindings.add("tab", filter=is_in_line)
    def complete(event: KeyPressEvent) -> None:
        line.complete(event.current_buffer, 1)

    @bindings.add("s-tab", filter=is_in_line)
    def complete_backwards(event: KeyPressEvent) -> None:
        line.complete(event.current_buffer, -1)

    @bindings.add(Keys.BracketedPaste, filter=is_in_line)
    def paste(event: KeyPressEvent) -> None:
        line.paste(event.current_buffer, event.data)

    @bindings.add(Keys.Any, filter=is_asking, eager=True)
    def answer(event: KeyPressEvent) -> None:
        if event.key_sequence[0].key not in NO_ANSWERS:
            line.answer(event.current_buffer, event.data)

    add_leaving(bindings, is_in_line)
    return bindings


def add_leaving(bindings: KeyBindings, is_in_line: Filter) -> None:
    """Bind Ctrl-C (clears a line, leaves at an empty line), and ignore mouse events."""

    @bindings.add("c-c", filter=is_in_line)
    def clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=EOFError)

    @bindings.add(Keys.Vt100MouseEvent, eager=True)
    def ignore(event: KeyPressEvent) -> None:
        """Do nothing: prompt_toolkit takes a pasted colour sequence (`ESC[31m`) for a mouse event and fails on it."""
