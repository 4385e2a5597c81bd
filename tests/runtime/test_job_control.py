import signal
from collections.abc import Iterator

import pytest

from runtime import job_control


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTSTP)
    yield
    signal.signal(signal.SIGTSTP, before)


@pytest.mark.parametrize(("parent", "action"), [(1, signal.SIG_IGN), (4711, signal.SIG_DFL)])
def test_stop_is_ignored_only_below_the_init_process(
    monkeypatch: pytest.MonkeyPatch, parent: int, action: signal.Handlers
) -> None:
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    monkeypatch.setattr("os.getppid", lambda: parent)
    job_control.ignore_stop_without_shell()
    assert signal.getsignal(signal.SIGTSTP) is action
