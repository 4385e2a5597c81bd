import os
import stat
from pathlib import Path

import msgspec
import pytest

from client.session.registration_file import (
    CLOCK_NOT_SET,
    KEPT_SECONDS,
    Registration,
    RegistrationFiles,
    by_cookie,
    by_name,
)

ALICE = by_name("Alice")
SERVER = "http://chat.example:9999"


def seat(taken: int = 7) -> Registration:
    return Registration(id="alice-1", name="Alice", token="the-token", epoch="e1", taken=taken)


@pytest.fixture
def seats(tmp_path: Path) -> RegistrationFiles:
    return RegistrationFiles(tmp_path / "ringback", SERVER)


def only_file(tmp_path: Path) -> Path:
    (file,) = (tmp_path / "ringback").iterdir()
    return file


def remember(seats: RegistrationFiles, key: str = ALICE, taken: int = 7) -> None:
    file = seats.open(key)
    file.write(seat(taken))
    file.close()


def remembered(seats: RegistrationFiles, key: str = ALICE) -> Registration | None:
    file = seats.open(key)
    file.close()
    assert file.trouble() == ""
    return file.remembered


def test_what_was_written_is_read_again(seats: RegistrationFiles) -> None:
    assert remembered(seats) is None
    remember(seats, taken=1)
    remember(seats, taken=2)
    assert remembered(seats) == seat(2)


def test_nothing_is_made_before_there_is_something_to_remember(seats: RegistrationFiles, tmp_path: Path) -> None:
    seats.open(ALICE).close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    assert stat.S_IMODE(only_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ringback").stat().st_mode) == 0o700


def test_every_name_and_server_has_a_file_of_its_own(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    assert remembered(seats, by_name("Bob")) is None
    assert remembered(seats, by_cookie("Alice")) is None
    assert remembered(RegistrationFiles(tmp_path / "ringback", "http://other.example:9999")) is None


@pytest.mark.parametrize("name", ["ALICE", "alice", "Ａlice"])
def test_what_the_server_takes_for_one_name_is_one_seat(seats: RegistrationFiles, name: str) -> None:
    remember(seats)
    assert remembered(seats, by_name(name)) == seat()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ".", "x" * 500, "日本", "\ud800", "a\x00b", ""])
def test_no_name_leads_out_of_the_directory(seats: RegistrationFiles, tmp_path: Path, name: str) -> None:
    remember(seats, by_name(name))
    assert len(only_file(tmp_path).name) < 64


def test_the_cookie_of_a_browser_is_not_in_its_files_name(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats, by_cookie("secretcookie"))
    assert "secret" not in only_file(tmp_path).name


def test_a_seat_that_is_held_is_nobody_elses(seats: RegistrationFiles) -> None:
    first = seats.open(ALICE)
    first.write(seat(1))
    second = seats.open(ALICE)
    assert second.remembered is None
    assert "is in use by another client" in second.trouble()
    second.write(seat(99))
    first.write(seat(2))
    first.close()
    assert remembered(seats) == seat(2)


def test_of_two_newcomers_the_first_to_write_has_the_file(seats: RegistrationFiles) -> None:
    first, second = seats.open(ALICE), seats.open(ALICE)
    first.write(seat(1))
    first.close()
    second.write(seat(99))
    assert "is in use by another client" in second.trouble()
    assert remembered(seats) == seat(1)


def test_after_it_is_closed_nothing_is_written(seats: RegistrationFiles) -> None:
    file = seats.open(ALICE)
    file.write(seat(1))
    file.close()
    file.write(seat(2))
    assert remembered(seats) == seat(1)


def test_a_seat_that_is_forgotten_leaves_nothing_behind(seats: RegistrationFiles, tmp_path: Path) -> None:
    file = seats.open(ALICE)
    file.write(seat())
    file.forget()
    assert list((tmp_path / "ringback").iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b"\xff\xff", b"[]", b'{"format": 1}', b"[" * 10_000, b"\x00" * 300])
def test_a_damaged_file_is_told_and_replaced(seats: RegistrationFiles, tmp_path: Path, content: bytes) -> None:
    remember(seats)
    only_file(tmp_path).write_bytes(content)
    file = seats.open(ALICE)
    assert file.remembered is None
    assert "is damaged, so you join as a new member" in file.trouble()
    file.write(seat(9))
    file.close()
    assert remembered(seats) == seat(9)


def test_an_empty_file_is_as_none(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    only_file(tmp_path).write_bytes(b"")
    assert remembered(seats) is None


def test_what_a_newer_version_wrote_is_left_alone(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    newer = msgspec.json.encode({"format": 2, "all": "else"})
    only_file(tmp_path).write_bytes(newer)
    file = seats.open(ALICE)
    assert "a newer version" in file.trouble()
    file.write(seat())
    file.close()
    assert only_file(tmp_path).read_bytes() == newer


def test_a_file_that_is_none_is_told_and_left_alone(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    file = only_file(tmp_path)
    file.unlink()
    file.mkdir()
    opened = seats.open(ALICE)
    assert "cannot be used (Is a directory)" in opened.trouble()
    opened.write(seat())
    opened.forget()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_bytes(b"")
    file = RegistrationFiles(tmp_path / "in the way" / "ringback", SERVER).open(ALICE)
    assert "cannot be used (Not a directory)" in file.trouble()


def test_a_disk_that_fails_is_told_once_and_tried_again(seats: RegistrationFiles, tmp_path: Path) -> None:
    file = seats.open(ALICE)
    file.write(seat(1))
    directory = tmp_path / "ringback"
    aside = directory.rename(tmp_path / "aside")
    file.write(seat(2))
    assert "cannot be written (No such file or directory)" in file.trouble()
    file.write(seat(3))
    assert file.trouble() == ""
    aside.rename(directory)
    file.write(seat(4))
    file.close()
    assert remembered(seats) == seat(4)


def test_a_write_that_was_broken_off_leaves_what_was_there(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats, taken=1)
    only_file(tmp_path).with_suffix(".new").write_bytes(b'{"format": 1, "ser')
    file = seats.open(ALICE)
    assert (file.remembered, file.trouble()) == (seat(1), "")
    file.write(seat(2))
    file.close()
    assert remembered(seats) == seat(2)


def test_what_is_older_than_the_server_keeps_is_swept_out_unless_it_is_held(
    seats: RegistrationFiles, tmp_path: Path
) -> None:
    for name in ("old", "held", "young"):
        remember(seats, by_name(name))
    held = seats.open(by_name("held"))
    for file in (tmp_path / "ringback").iterdir():
        at = 0 if "young" in file.name else -2
        os.utime(file, (at, at))
    seats.sweep(now=KEPT_SECONDS - 1)
    assert {file.name.split("-")[1] for file in (tmp_path / "ringback").iterdir()} == {"held", "young"}
    held.close()


def test_sweep_keeps_what_was_written_before_the_clock_was_set(seats: RegistrationFiles, tmp_path: Path) -> None:
    remember(seats)
    os.utime(only_file(tmp_path), (100, 100))
    seats.sweep(now=CLOCK_NOT_SET + 10 * KEPT_SECONDS)
    assert remembered(seats) == seat()


def test_move_brings_the_seat_of_that_name_from_another_key(seats: RegistrationFiles) -> None:
    here, there, elsewhere = map(by_cookie, ("here", "there", "elsewhere"))
    remember(seats, there)
    seats.move("Bob", here, [elsewhere, there])
    assert remembered(seats, here) is None
    seats.move("ALICE", here, [elsewhere, there])
    assert (remembered(seats, here), remembered(seats, there)) == (seat(), None)


def test_move_leaves_a_seat_that_is_in_use(seats: RegistrationFiles) -> None:
    here, there = by_cookie("here"), by_cookie("there")
    remember(seats, there)
    in_use = seats.open(there)
    seats.move("Alice", here, [there])
    assert remembered(seats, here) is None
    in_use.close()
    assert remembered(seats, there) == seat()


def test_move_leaves_the_seat_that_is_there_already(seats: RegistrationFiles) -> None:
    here, there = by_cookie("here"), by_cookie("there")
    remember(seats, here, taken=1)
    remember(seats, there, taken=2)
    seats.move("Alice", here, [there])
    assert (remembered(seats, here), remembered(seats, there)) == (seat(1), seat(2))


def test_move_in_a_directory_that_cannot_be_read_does_nothing(tmp_path: Path) -> None:
    RegistrationFiles(tmp_path / ("d" * 300), SERVER).move("Alice", by_name("Alice"), [by_cookie("there")])


def test_there_may_be_nothing_to_sweep(tmp_path: Path) -> None:
    RegistrationFiles(tmp_path / "none", SERVER).sweep(0)
