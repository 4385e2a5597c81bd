"""A part of `make check`: an advisory about a locked version fails it, a database out of reach is only said.

The database is the package index's own; `PIP_AUDIT_VULNERABILITY_SERVICE=osv` and `PIP_AUDIT_OSV_URL` name others.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

LOCKS: Final = Path(__file__).resolve().parent.parent / "requirements"
# Advisories are about it since 2024. pip-audit finds "no known vulnerabilities" where the answer is 404, as that of an
# index without advisories is: who does not hear of these does not hear of any.
KNOWN_TO_BE_BAD: Final = "aiohttp==3.9.0"
ANSWER_SECONDS: Final = 5
PROBE_SECONDS: Final = 20.0  # a host may have several addresses, each of them silent for ANSWER_SECONDS
AUDIT_SECONDS: Final = 300.0


class AuditFailed(Exception):
    """pip-audit came to no result; `str()` tells why."""


def main() -> int:
    """Give the exit code: 1 if an advisory is about a locked version, or the audit breaks off."""
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
    """Tell whether the database can be reached: what must be found is found."""
    with TemporaryDirectory() as directory:
        probe = Path(directory, "probe.txt")
        probe.write_text(f"{KNOWN_TO_BE_BAD}\n")
        try:
            return any(package.get("vulns") for package in audit(["--no-deps", *requirements([probe])], PROBE_SECONDS))
        except AuditFailed:
            return False


def requirements(files: Iterable[Path]) -> list[str]:
    """Make the options that name these files."""
    return [f"--requirement={file}" for file in files]


def audit(options: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run pip-audit on versions as they are locked, and give its account of each package; raises `AuditFailed`."""
    always = ["--disable-pip", "--format=json", "--progress-spinner=off", f"--timeout={ANSWER_SECONDS}"]
    command = [sys.executable, "-m", "pip_audit", *always, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise AuditFailed(f"it took more than {seconds:g} seconds") from None
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except json.JSONDecodeError:  # the exit code does not tell: it is 1 for advisories and for failures
        raise AuditFailed(done.stderr.strip().rpartition("\n")[2]) from None
    return packages


def findings(package: dict[str, Any]) -> list[str]:
    """Say what is known of a package, a line for each advisory. That its version was taken off the index counts too."""
    if "skip_reason" in package:
        return [package["skip_reason"]]
    return [
        f"{package['name']} {package['version']}: {', '.join([advisory['id'], *advisory['aliases']])},"
        f" fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for advisory in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main())
