"""The folder that a client with a page has for itself, and what is swept out of the state directory."""

import os
import stat
import time
from pathlib import Path

import pytest

from client.session.registration_file import KEPT_SECONDS, Registration, RegistrationFiles, by_cookie
from client.settings import NO_STATE, Face, Settings
from client.state import State, StateFolder, sweep_folders, take_folder

DAY = 86_400.0
SERVER = "http://chat.example:9999"


def taken(directory: Path, host: str = "box") -> StateFolder:
    folder = take_folder(directory, host)
    assert folder is not None
    return folder


def page(directory: Path) -> Settings:
    return Settings(face=Face.PAGE, state_dir=directory, server=SERVER)


def remember(directory: Path, cookie: str, written: float) -> Path:
    seats = RegistrationFiles(directory, SERVER)
    file = seats.open(by_cookie(cookie))
    file.write(Registration(id="alice-1", name="Alice", token="the-token", epoch="e1", taken=7))
    file.close()
    (path,) = directory.glob("browser-*.json")
    os.utime(path, (written, written))
    return path


def test_folder_taken_again_has_the_same_id(tmp_path: Path) -> None:
    first = taken(tmp_path)
    first.close()
    again = taken(tmp_path)
    assert (again.path, again.id) == (first.path, first.id)
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o700


def test_folder_in_use_leads_to_the_next_one(tmp_path: Path) -> None:
    first, second = taken(tmp_path), taken(tmp_path)
    assert (first.path.name, second.path.name) == ("box", "box-2")
    assert first.id != second.id


def test_folder_of_another_host_is_another(tmp_path: Path) -> None:
    assert taken(tmp_path, "chat-client-1").id != taken(tmp_path, "chat-client-2").id


@pytest.mark.parametrize("host", ["", "..", "../../etc", "a/b", "Büro PC", "x" * 300])
def test_folder_of_any_host_name_is_within_the_directory(tmp_path: Path, host: str) -> None:
    folder = taken(tmp_path, host)
    assert folder.path.parent == tmp_path
    assert folder.path.is_dir()


def test_folder_with_a_damaged_id_gets_a_new_one(tmp_path: Path) -> None:
    taken(tmp_path).close()
    (tmp_path / "box" / "id").write_bytes(b"\xff; path=/")
    assert len(taken(tmp_path).id) == 12


def test_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_bytes(b"")
    assert take_folder(tmp_path / "in the way", "box") is None


def test_cookie_name_stays_with_the_folder_whatever_the_port(tmp_path: Path) -> None:
    first = State(page(tmp_path))
    name = first.cookie_name(8081)
    assert State(page(tmp_path)).cookie_name(8081) != name  # beside it
    assert first._folder is not None
    first._folder.close()
    assert State(page(tmp_path)).cookie_name(8085) == name


def test_cookie_name_without_state_differs_by_port() -> None:
    state = State(page(NO_STATE))
    assert state.cookie_name(8081) == State(page(NO_STATE)).cookie_name(8081) != state.cookie_name(8082)


def test_terminal_takes_no_folder(tmp_path: Path) -> None:
    State(Settings(face=Face.TERMINAL, state_dir=tmp_path / "ringback"))
    assert list(tmp_path.iterdir()) == []


def test_sweep_removes_folders_unused_for_a_month_but_not_those_in_use(tmp_path: Path) -> None:
    now = time.time()
    taken(tmp_path, "old").close()
    taken(tmp_path, "young").close()
    held = taken(tmp_path, "held")
    for name in ("old", "held"):
        os.utime(tmp_path / name / "id", (now - KEPT_SECONDS - 1, now - KEPT_SECONDS - 1))
    sweep_folders(tmp_path, now)
    assert {path.name for path in tmp_path.iterdir()} == {"held", "young"}
    held.close()


def test_sweep_keeps_the_own_folder_in_use(tmp_path: Path) -> None:
    state = State(page(tmp_path))
    assert state._folder is not None
    os.utime(state._folder.path / "id", (1, 1))
    state.sweep(time.time())
    assert time.time() - (state._folder.path / "id").stat().st_mtime < DAY


@pytest.mark.parametrize("first", [0.0, 400 * DAY, -400 * DAY])
@pytest.mark.parametrize("jumps", [[400 * DAY] * 60, [-400 * DAY] * 60, [400 * DAY, 0.0] * 60])
def test_sweep_by_a_clock_that_jumps_removes_nothing(tmp_path: Path, first: float, jumps: list[float]) -> None:
    """Neither at the first sweep of a directory, nor however often a client is started."""
    now = time.time()
    state = State(page(tmp_path))
    path = remember(tmp_path, "cookie", now)
    for jump in [first, *jumps, 0.0]:
        state.sweep(now + jump)
        assert path.exists()


def test_sweep_day_by_day_removes_what_is_unused_for_a_month(tmp_path: Path) -> None:
    now = time.time()
    state = State(page(tmp_path))
    path = remember(tmp_path, "cookie", now)
    for day in range(31):
        assert path.exists()
        state.sweep(now + day * DAY)
    state.sweep(now + 31 * DAY)
    assert not path.exists()


def test_sweep_without_a_directory_makes_none(tmp_path: Path) -> None:
    State(Settings(face=Face.TERMINAL, state_dir=tmp_path / "none")).sweep(time.time())
    assert list(tmp_path.iterdir()) == []
