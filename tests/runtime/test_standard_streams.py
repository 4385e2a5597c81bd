import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPEN_A_FILE = """
import os, sys
from runtime.background_output import lost_lines
from runtime.standard_streams import prepare
prepare(lost_lines)
with open(sys.argv[1], "w") as file:
    sys.stderr.write("told\\n")
    try:
        os.write(1, b"told\\n")
    except OSError:
        pass
    file.write(str(file.fileno() > 2))
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_prepare_keeps_the_numbers_of_closed_streams_from_the_next_file(closed: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", OPEN_A_FILE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert path.read_text() == "True"


def test_traceback_on_a_stderr_that_is_full_changes_nothing() -> None:
    script = "from runtime.standard_streams import prepare\nprepare(lambda *_: '')\nraise SystemExit(3) from OSError()"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=full, timeout=60, check=False)
    assert done.returncode == 3


def test_traceback_is_on_stderr_before_the_process_ends() -> None:
    script = "from runtime.standard_streams import prepare\nprepare(lambda *_: '')\nraise LookupError('why')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(b"LookupError: why\n")
