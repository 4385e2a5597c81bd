"""Take the README's picture of the terminal, from a real chat: `python -m scripts.terminal_picture` in the repository.

The client runs in a pseudo-terminal. Chromium takes a screenshot of its screen, converted to HTML with its colours.
Needs the requirements of the tests, and Chromium at /usr/bin/chromium or at the path in CHROMIUM.
"""

import asyncio
import html
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright
from pyte.screens import Char

from scripts.screenshots import IMAGES
from tests.client.processes import ServerProcess
from tests.client.window import Window
from tests.e2e.chromium import launch_options

COLUMNS, ROWS = 78, 40
BACKGROUND, TEXT = "#14161f", "#d7dae5"
STYLE: Final = f"""
pre {{ margin: 0; padding: 18px 22px; width: max-content; background: {BACKGROUND}; color: {TEXT};
      font: 15px/1.45 "DejaVu Sans Mono", monospace; }}
.cursor {{ background: {TEXT}; }}
"""


def talk() -> Window:
    """Run a chat of four people. Return the window of Alice, who was away for a part of it."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as state:
        server = ServerProcess(9999)
        stack.callback(server.stop)

        def opens(name: str, *arguments: str) -> Window:
            window = Window("--server", server.url, "--name", name, *arguments)
            stack.callback(window.child.close, force=True)
            window.child.setwinsize(ROWS, COLUMNS)
            window.screen.resize(ROWS, COLUMNS)
            window.sees("You:")
            return window

        bob = opens("Bob")
        alice = opens("Alice", "--state-dir", state)
        charlie = opens("Charlie")
        alice.sees("HH:MM [SYSTEM] Charlie joined the chat")
        bob.enters("Morning! The build machine is green again.")
        alice.sees("HH:MM Bob: Morning! The build machine is green again.")
        alice.enters("Good. I am at my desk in five minutes.")
        alice.enters("exit")
        alice.ends()
        bob.sees("HH:MM [SYSTEM] Alice left the chat")
        says(charlie, bob, "Charlie", "Then I deploy at eleven:\n1. announce it here\n2. watch for ten minutes")
        says(bob, charlie, "Bob", "Alice, do we have your go?")
        alice = opens("Alice", "--state-dir", state)
        dana = opens("Dana")
        alice.sees("HH:MM [SYSTEM] Dana joined the chat")
        alice.enters("Go from my side.")
        bob.enters("/me crosses his fingers")
        alice.sees("HH:MM * Bob crosses his fingers")
        says(dana, alice, "Dana", "Release 2.4.0 is out, thank you @alice")
        alice.types("Wel")
        alice.sees("You: Wel")
        return alice


def says(speaker: Window, listener: Window, name: str, text: str) -> None:
    """Send a text, several lines by bracketed paste, and wait until the listener shows its first line."""
    if "\n" in text:
        speaker.types(f"\x1b[200~{text}\x1b[201~")
        speaker.reads("[y/N]")
        speaker.types("y")
    else:
        speaker.enters(text)
    listener.reads(f"{name}: {text.splitlines()[0]}")


def as_html(window: Window) -> str:
    """Return the screen as HTML, with its colours, and the cursor at the end."""
    screen = window.screen
    rows = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(screen.cursor.y + 1)]
    text = "\n".join("".join(pieces(row)).rstrip() for row in rows)
    return f"<!doctype html><style>{STYLE}</style><pre>{text}<span class=cursor>&nbsp;</span></pre>"


def pieces(row: list[Char]) -> Iterator[str]:
    """Yield the HTML of a row, with adjacent letters of the same style in a single span."""
    for style, letters in itertools.groupby(row, key=css):
        text = html.escape("".join(letter.data for letter in letters))
        yield f'<span style="{style}">{text}</span>' if style else text


def css(letter: Char) -> str:
    """Return the style of a letter in CSS."""
    color = TEXT if letter.fg == "default" else f"#{letter.fg}"
    if letter.reverse:
        return f"background: {color}; color: {BACKGROUND}; font-weight: bold"
    bold = "; font-weight: bold" if letter.bold else ""
    return f"color: {color}{bold}" if color != TEXT or bold else ""


async def photograph(page_html: str, path: Path) -> None:
    """Write a screenshot of the page to `path`."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launch_options())
        page = await browser.new_page(device_scale_factor=2)
        await page.set_content(page_html)
        await page.locator("pre").screenshot(path=path)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(photograph(as_html(talk()), IMAGES / "terminal.png"))
