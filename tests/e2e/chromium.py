"""Where Chromium is, and how it is started where there is no desktop."""

import os
from pathlib import Path
from typing import Any, Final

EXECUTABLE: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# No sandbox: the tests run as root in a container, where it cannot be. The rest keeps it from the network and the GPU.
ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def is_installed() -> bool:
    """Tell whether there is one."""
    return Path(EXECUTABLE).exists()


def launch_options() -> dict[str, Any]:
    """Give the arguments of Playwright's `launch`."""
    return {"executable_path": EXECUTABLE, "args": ARGUMENTS}
