from pathlib import Path

from tests.crash.history import Record, Restart
from tests.crash.recording import Cut, Recorder, Recording, Refused, Registered, Started, Took

HI = Record(epoch="e1", seq=7, sender_id="ann", text="hi")
HO = Record(epoch="e1", seq=8, sender_id="ann", text="ho")


def test_what_is_recorded_is_read_as_it_was(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "bob.jsonl")
    for line in (
        Started(1),
        Registered("e1", 6, 0),
        Took(HI),
        Cut(1, 1),
        Started(2),
        Took(HI),
        Took(HO),
        Refused("no"),
    ):
        recorder.write(line)
    recording = Recording(tmp_path / "bob.jsonl", {})
    recording.catch_up()
    assert recording.arrivals == [HI, Restart(), HI, HO]
    assert recording.registrations == [Registered("e1", 6, 0)]
    assert recording.refused == ["no"]
    assert (recording.newest, recording.deliveries, recording.repeats, recording.cuts) == (8, 3, 1, 1)


def test_a_recording_is_followed_while_it_grows(tmp_path: Path) -> None:
    recorder, recording = Recorder(tmp_path / "bob.jsonl"), Recording(tmp_path / "bob.jsonl", {})
    recorder.write(Took(HI))
    recording.catch_up()
    recorder.write(Took(HO))
    recording.catch_up()
    assert recording.arrivals == [HI, HO]


def test_a_line_that_is_not_whole_yet_is_read_when_it_is(tmp_path: Path) -> None:
    file, recording = tmp_path / "bob.jsonl", Recording(tmp_path / "bob.jsonl", {})
    Recorder(file).write(Took(HI))
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    recording.catch_up()
    assert recording.arrivals == []
    file.write_bytes(whole)
    recording.catch_up()
    assert recording.arrivals == [HI]


def test_two_recordings_share_what_is_the_same(tmp_path: Path) -> None:
    known: dict[Record, Record] = {}
    recordings = [Recording(tmp_path / f"{name}.jsonl", known) for name in ("bob", "eve")]
    for name, recording in zip(("bob", "eve"), recordings, strict=True):
        Recorder(tmp_path / f"{name}.jsonl").write(Took(HI))
        recording.catch_up()
    assert recordings[0].arrivals[0] is recordings[1].arrivals[0]


def test_a_recording_that_has_not_begun_is_empty(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "bob.jsonl", {})
    recording.catch_up()
    assert (recording.arrivals, recording.newest) == ([], 0)
