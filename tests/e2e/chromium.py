"""Where Chromium is, and how it is started where there is no desktop."""

import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Error

EXECUTABLE: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# No sandbox: the tests run as root in a container, where it cannot be. The rest keeps it from the network and the GPU.
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def is_installed() -> bool:
    """Tell whether there is one."""
    return Path(EXECUTABLE).exists()


def launch_options() -> dict[str, Any]:
    """Give the arguments of Playwright's `launch`."""
    return {"executable_path": EXECUTABLE, "args": ARGUMENTS}


def persistent(navigate: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `navigate` (`Page.goto`, `Page.reload`) that tries again when Chromium breaks it off.

    Chromium does so when a network of this machine comes or goes, and tests in Docker run beside those in a browser.
    """

    @functools.wraps(navigate)
    async def again(*args: Any, **options: Any) -> Any:
        while True:
            try:
                return await navigate(*args, **options)
            except Error as error:
                if "ERR_NETWORK_CHANGED" not in error.message:
                    raise

    return again
