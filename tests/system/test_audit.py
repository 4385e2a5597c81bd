"""`scripts/audit.py` with a database of advisories on this machine, which answers as OSV's does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parent.parent.parent
KNOWN_TO_BE_BAD = ("aiohttp", "3.9.0")
FIX = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}


@contextmanager
def database(*bad: str, knows: tuple[str, str] | None = KNOWN_TO_BE_BAD) -> Iterator[str]:
    """Serve an advisory about one version that was bad long ago, and about any version of these; gives the address."""

    class Advisories(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = query["package"]
            is_bad = package["name"] in bad or (package["name"], query["version"]) == knows
            affected = [{"package": package, "ranges": [FIX]}]
            advisory = {"id": "TEST-1", "aliases": ["CVE-1"], "summary": "It is bad.", "affected": affected}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": [advisory]} if is_bad else {}).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()


def audit(database: str) -> tuple[int, list[str]]:
    """Give the exit code and what was printed."""
    environment = os.environ | {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": database}
    command = [sys.executable, str(ROOT / "scripts" / "audit.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.splitlines()


def test_locked_versions_without_advisories_pass() -> None:
    with database() as address:
        code, (line,) = audit(address)
    assert code == 0
    assert line.startswith("No advisory is about the ")


def test_an_advisory_about_a_locked_version_fails_and_is_told() -> None:
    with database("msgspec") as address:
        code, (line,) = audit(address)
    assert code == 1
    assert line.startswith("msgspec ")
    assert line.endswith(": CVE-1, TEST-1, fixed in 99.0")


def test_a_database_that_does_not_know_what_is_known_to_be_bad_is_none() -> None:
    with database("msgspec", knows=None) as address:
        assert audit(address) == (0, ["Skipped the audit: the advisory database cannot be reached"])


def test_without_a_database_the_audit_is_skipped_with_a_word() -> None:
    with database() as address:
        pass  # and now nobody listens there
    assert audit(address) == (0, ["Skipped the audit: the advisory database cannot be reached"])
