"""Take the README's picture of the terminal, from a real chat: `python -m scripts.terminal_picture` in the repository.

The client runs in a pseudo-terminal; what its screen shows is set in a monospaced font and photographed.
"""

import asyncio
import html
from typing import Final

from playwright.async_api import async_playwright

from scripts.screenshots import IMAGES
from tests.client.processes import ServerProcess
from tests.client.window import Window
from tests.e2e.chromium import launch_options

STYLE: Final = """
pre { margin: 0; padding: 18px 22px; width: max-content; background: #14161f; color: #d7dae5;
      font: 15px/1.45 "DejaVu Sans Mono", monospace; }
.cursor { background: #d7dae5; }
"""


def talk() -> list[str]:
    """Let three people chat; gives what the first one's screen shows then."""
    server = ServerProcess()
    windows: dict[str, Window] = {}
    try:
        for name in ("Alice", "Bob", "Charlie"):
            window = windows[name] = Window("--server", server.url)
            window.gets("Enter your name: ")
            window.enters(name)
            window.sees("You:")
        alice = windows["Alice"]
        alice.sees("[SYSTEM] Charlie joined the chat")
        alice.enters("Hello everyone!")
        windows["Bob"].sees("Alice: Hello everyone!")
        windows["Bob"].enters("Hi Alice, the build is green again.")
        alice.sees("Bob: Hi Alice, the build is green again.")
        windows["Charlie"].enters("Then I deploy at eleven.")
        alice.sees("Charlie: Then I deploy at eleven.")
        alice.types("Go from my side")
        alice.sees("You: Go from my side")
        return alice.lines()
    finally:
        for window in windows.values():
            window.child.close(force=True)
        server.stop()


def as_html(lines: list[str]) -> str:
    """Set the screen's lines as they are, with a cursor behind the last one."""
    text = html.escape(chr(10).join(lines))
    return f"<!doctype html><style>{STYLE}</style><pre>{text}<span class=cursor>&nbsp;</span></pre>"


async def photograph(page_html: str) -> None:
    """Write the picture."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**launch_options())
        page = await browser.new_page(device_scale_factor=2)
        await page.set_content(page_html)
        await page.locator("pre").screenshot(path=IMAGES / "terminal.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(photograph(as_html(talk())))
