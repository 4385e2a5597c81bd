"""The real server as a process of its own, for tests of the client as a process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Nothing of the caller's settings, and nothing written into its home; the terminal answers no questions about itself.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("CHAT_") and name != "NO_COLOR"
} | {
    "PYTHONPATH": str(ROOT),
    "CHAT_STATE_DIR": "none",
    "TERM": "xterm-256color",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


class ServerProcess:
    """`python -m server` with its log in memory; port 0: any free one."""

    def __init__(self, port: int = 0, options: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server", "--port", str(port), "--store", "memory:", *options],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.log = self._process.stdout
        self.port = int(self.wait_for("running on").rsplit(":", 1)[1])
        self.url = f"http://localhost:{self.port}"

    def wait_for(self, words: str) -> str:
        """Read the log on to the line that has `words`."""
        for line in self.log:
            if words in line:
                return line
        raise AssertionError(f"the server's log ended without {words!r}")

    def stop(self) -> str:
        """End it, and give what its log had left to read; harmless when it has ended."""
        if self.log.closed:
            return ""
        self._process.terminate()
        rest = self.log.read()
        self._process.wait(timeout=60)
        self.log.close()
        return rest
