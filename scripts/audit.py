"""The audit of `make check`: fails on an advisory about a locked version, and is skipped if no database is reachable.

The default database is that of the package index; `PIP_AUDIT_VULNERABILITY_SERVICE=osv` and `PIP_AUDIT_OSV_URL` select
another database.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

LOCKS: Final = Path(__file__).resolve().parent.parent / "requirements"
# A version with advisories since 2024. For an index without advisories, which responds with 404, pip-audit reports "no
# known vulnerabilities". A database that does not report this version is therefore treated as unreachable.
KNOWN_TO_BE_BAD: Final = "aiohttp==3.9.0"
ANSWER_SECONDS: Final = 5
PROBE_SECONDS: Final = 20.0  # a host may have several addresses, and each may take ANSWER_SECONDS to time out
AUDIT_SECONDS: Final = 300.0


class AuditFailed(Exception):
    """pip-audit did not return a result. `str()` is the cause."""


def main() -> int:
    """Return the exit code: 1 if an advisory is about a locked version, or the audit fails."""
    if not knows_what_is_bad():
        sys.stdout.write("Skipped the audit: the advisory database cannot be reached\n")
        return 0
    try:
        packages = audit(["--require-hashes", *requirements(sorted(LOCKS.glob("*.txt")))], AUDIT_SECONDS)
    except AuditFailed as why:
        sys.stdout.write(f"The advisory database can be reached, but the audit failed: {why}\n")
        return 1
    found = [line for package in packages for line in findings(package)]
    sys.stdout.write("".join(f"{line}\n" for line in found) or f"No advisory is about the {len(packages)} packages\n")
    return 1 if found else 0


def knows_what_is_bad() -> bool:
    """Return true if the database is reachable and reports `KNOWN_TO_BE_BAD`."""
    with TemporaryDirectory() as directory:
        probe = Path(directory, "probe.txt")
        probe.write_text(f"{KNOWN_TO_BE_BAD}\n")
        try:
            return any(package.get("vulns") for package in audit(["--no-deps", *requirements([probe])], PROBE_SECONDS))
        except AuditFailed:
            return False


def requirements(files: Iterable[Path]) -> list[str]:
    """Return the options of pip-audit that name these files."""
    return [f"--requirement={file}" for file in files]


def audit(options: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run pip-audit on locked versions. Return its report, an object for each package. Raise `AuditFailed`."""
    always = ["--disable-pip", "--format=json", "--progress-spinner=off", f"--timeout={ANSWER_SECONDS}"]
    command = [sys.executable, "-m", "pip_audit", *always, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise AuditFailed(f"it took more than {seconds:g} seconds") from None
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:  # the exit code does not distinguish: it is 1 for advisories and for failures
        raise AuditFailed(done.stderr.strip().rpartition("\n")[2]) from None
    return packages


def findings(package: dict[str, Any]) -> list[str]:
    """Return a line for each advisory about a package; for a version that is not in the index any more, the reason."""
    if "skip_reason" in package:
        return [package["skip_reason"]]
    return [
        f"{package['name']} {package['version']}: {', '.join([advisory['id'], *advisory['aliases']])},"
        f" fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for advisory in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main())
