"""The journal: it remembers what was done through crashes and absent disks, and lets one run work at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from library_samples import (
    command,
    drawing,
    folder_of_drawings,
    journal_of,
    newest_of_all,
    one_verifier,
    pico_library,
)

from pico_library.cli import main
from pico_library.model.reasons import Reason
from pico_library.model.records import Identity, Original, Outcome, Record
from pico_library.model.settings import Settings
from pico_library.run.plan import make_plan
from pico_library.store import places
from pico_library.store.journal import Journal, JournalError
from pico_library.store.scan import Choice
from pico_look import Kind


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> Iterator[None]:
    with one_verifier():
        yield


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return folder_of_drawings(tmp_path / "Photos", 3)


numbers = st.integers(0, 2**63 - 1)
sizes = st.integers(0, 2**59)  # whose sums SQLite holds
paths = st.binary(min_size=1, max_size=20).map(lambda b: Path("/", os.fsdecode(b.replace(b"\0", b"."))))
records = st.builds(
    Record,
    path=paths,
    identity=st.builds(Identity, numbers, numbers, numbers, numbers),
    outcome=st.sampled_from(Outcome),
    reason=st.none() | st.sampled_from([str(reason) for reason in Reason]),
    settings=st.text(max_size=9),
    digest=st.none() | st.binary(min_size=32, max_size=32),
    before=st.none() | sizes,
    after=st.none() | sizes,
    quality=st.none() | st.integers(0, 100),
    score=st.none() | st.floats(0, 1),
    similarity=st.none() | st.floats(-100, 100),
    kind=st.none() | st.sampled_from([str(kind) for kind in Kind]),
    crop=st.none() | st.tuples(*[st.integers(0, 65535)] * 4),
    target=st.none() | paths,
    target_digest=st.none() | st.binary(min_size=32, max_size=32),
    wrote=st.none() | st.booleans(),
    original=st.sampled_from(Original),
    original_at=st.none() | paths,
)


@settings(max_examples=25)
@given(st.lists(records, max_size=5, unique_by=lambda record: record.path))
def test_what_was_recorded_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, given: list[Record]
) -> None:
    file = tmp_path_factory.mktemp("journal") / "journal.sqlite3"
    with Journal(file) as journal:
        run = journal.start_run("beside", [Path("/a")], {"quality": "60"})
        journal.record(*(replace(record, run=run) for record in given))
    with Journal(file) as journal:
        found = {path: replace(record, recorded=0.0) for path, record in newest_of_all(journal).items()}
    assert found == {record.path: replace(record, run=run) for record in given}


def test_failure_that_names_a_file_whose_name_is_no_text_is_noted(tmp_path: Path) -> None:
    reason = os.fsdecode(b"cannot write in caf\xe9")
    with Journal(tmp_path / "j") as journal:
        run = journal.start_run("beside", [], {})
        journal.record(Record(Path("/a.jpg"), Identity(1, 2, 3, 4), Outcome.FAILED, reason, run=run))
        assert newest_of_all(journal)[Path("/a.jpg")].reason == "cannot write in caf\\udce9"


def test_journal_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Version 1 did not note who wrote a .pico file: `undo` leaves it. Its scores were those of another measure."""
    one = Record(Path("/a.jpg"), Identity(1, 2, 3, 4), Outcome.SAVED, target_digest=b"t" * 32, run=1)
    one = replace(one, crop=(1, 2, 3, 4))
    with Journal(tmp_path / "j") as journal:
        journal.start_run("beside", [], {})
        journal.record(replace(one, score=0.25, similarity=0.95))
    program = (
        "import sqlite3, sys\n"
        "with sqlite3.connect(sys.argv[1]) as database:\n"
        "    for column in ('wrote', 'kind', 'measure'):\n"
        "        database.execute(f'ALTER TABLE photos DROP COLUMN {column}')\n"
        "    database.execute('PRAGMA user_version = 1')\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "j")], check=True)
    for _ in range(2):
        with Journal(tmp_path / "j") as journal:
            assert replace(newest_of_all(journal)[one.path], recorded=0.0) == one
    with Journal(tmp_path / "j") as journal:
        anew = replace(one, wrote=True, score=0.5, similarity=70.0, kind="lost line")
        journal.record(anew)
        assert replace(newest_of_all(journal)[one.path], recorded=0.0) == anew


def test_newest_record_of_a_photo_counts_and_older_runs_stay(tmp_path: Path) -> None:
    one = Record(Path("/a.jpg"), Identity(1, 2, 3, 4), Outcome.FAILED, "torn")
    with Journal(tmp_path / "j") as journal:
        for outcome in (Outcome.FAILED, Outcome.SAVED):
            run = journal.start_run("beside", [], {})
            journal.record(replace(one, run=run, outcome=outcome, before=10, after=4))
            journal.finish_run(run)
        assert newest_of_all(journal)[one.path].outcome is Outcome.SAVED
        assert [record.outcome for record in journal.photos(1)] == [Outcome.FAILED]
        first, second = journal.runs()
    assert (first.before, second.before, second.after) == (0, 10, 4)
    assert second.counts == {Outcome.SAVED: 1}


def test_newest_record_with_a_verified_pico_file_outlives_later_runs_that_made_none(tmp_path: Path) -> None:
    path = Path("/a.jpg")
    made = Record(path, Identity(1, 2, 3, 4), Outcome.SAVED, digest=b"d" * 32, target_digest=b"t" * 32)
    with Journal(tmp_path / "j") as journal:
        assert journal.newest_made(path) is None
        for record in (
            replace(made, before=1),
            replace(made, before=2),
            replace(made, before=3, outcome=Outcome.FAILED, digest=None),
            replace(made, before=4, outcome=Outcome.SKIPPED, target_digest=None),
            replace(made, before=5, path=Path("/b.jpg")),
        ):
            journal.record(replace(record, run=journal.start_run("beside", [], {})))
        newest, found = journal.newest(path), journal.newest_made(path)
    assert newest is not None
    assert found is not None
    assert (newest.before, found.before, found.run) == (4, 2, 2)


def test_second_run_does_nothing_and_says_so(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library)]) == 0
    before = {path: path.stat().st_ino for path in library.iterdir()}
    capsys.readouterr()
    assert main(["shrink", str(library)]) == 3
    assert "Nothing to do: 3 photos, all as an earlier run left them." in capsys.readouterr().out
    assert {path: path.stat().st_ino for path in library.iterdir()} == before
    with Journal(places.journal_file()) as journal:
        assert len(journal.runs()) == 1, "a run that does nothing leaves no trace"


def test_interrupted_run_goes_on_where_it_was(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = pico_library("shrink", library, "--jobs", "1", PICO_LIBRARY_FAULT="published=kill")
    assert done.returncode == -9
    assert main(["shrink", str(library)]) == 0
    assert sorted(path.name for path in library.iterdir() if path.suffix == ".pico") == [
        f"{number}.png.pico" for number in range(3)
    ]
    with Journal(places.journal_file()) as journal:
        assert [run.state for run in journal.runs()] == ["interrupted", "finished"]
        assert {record.outcome for record in newest_of_all(journal).values()} == {Outcome.SAVED}


def test_failed_photo_is_tried_again(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (library / "1.png").read_bytes()
    (library / "1.png").write_bytes(whole[:5000])
    assert main(["shrink", str(library)]) == 1
    assert journal_of(library / "1.png").outcome is Outcome.FAILED
    assert main(["shrink", str(library)]) == 1, "it failed again, though it has not changed"
    (library / "1.png").write_bytes(whole)
    capsys.readouterr()
    assert main(["shrink", str(library)]) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[2].startswith("1.png")
    assert "2 photos more: as an earlier run left them." in output


def test_skipped_photo_is_looked_at_again_only_with_other_settings(library: Path) -> None:
    assert main(["shrink", str(library), "--min-saving", "99.9%"]) == 0
    assert not list(library.glob("*.pico"))
    assert main(["shrink", str(library), "--min-saving", "99.9%"]) == 3
    assert main(["shrink", str(library), "--min-saving", "10%"]) == 0
    assert len(list(library.glob("*.pico"))) == 3


def test_photo_that_takes_the_name_of_another_never_replaces_its_pico_file(library: Path) -> None:
    """Cameras count to 9999 and begin again: the .pico file may be all that is left of the first photo."""
    assert main(["shrink", str(library)]) == 0
    first = (library / "0.png.pico").read_bytes()
    for name in ("0.png", "1.png"):
        drawing(library / name, 40)
        os.utime(library / name, ns=(10**18, 10**18))
    (library / "1.png.pico").write_bytes(b"somebody else's")
    assert main(["shrink", str(library), "--delete-originals", "--yes"]) == 0
    assert (library / "0.png.pico").read_bytes() == first
    assert (library / "0.png").exists()
    assert journal_of(library / "0.png").reason == Reason.CHANGED_SINCE
    assert (library / "1.png.pico").read_bytes() == b"somebody else's"
    assert journal_of(library / "1.png").reason == Reason.NAME_TAKEN
    (library / "0.png.pico").rename(library / "first.pico")
    assert main(["shrink", str(library)]) == 0
    assert (library / "0.png.pico").read_bytes() != first


def test_removed_pico_file_is_written_again(library: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    (library / "2.png.pico").unlink()
    assert main(["shrink", str(library)]) == 0
    assert (library / "2.png.pico").exists()


def test_lost_journal_costs_a_check_and_nothing_else(library: Path, home: Path) -> None:
    assert main(["shrink", str(library)]) == 0
    before = {path: path.stat().st_ino for path in library.iterdir()}
    for file in home.iterdir():
        file.unlink()
    assert main(["shrink", str(library)]) == 0
    assert {path: path.stat().st_ino for path in library.iterdir()} == before
    assert journal_of(library / "0.png").outcome is Outcome.SAVED


def test_missing_disk_is_never_read_as_deleted(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", str(library)]) == 0
    library.rename(library.with_name("elsewhere"))
    assert main(["shrink", str(library)]) == 2
    assert "that its disk is connected" in capsys.readouterr().err
    library.mkdir()  # an empty mount point
    assert main(["shrink", str(library)]) == 3
    assert "the journal knows 3 photos here: is a disk missing?" in capsys.readouterr().out
    drawing(library.with_name("here.png"), 60)
    assert main(["shrink", str(library), str(library.with_name("here.png"))]) == 0
    assert (
        f"Nothing found below {library}, but the journal knows 3 photos there: is a disk missing?"
        in capsys.readouterr().out
    )
    library.rmdir()
    library.with_name("elsewhere").rename(library)
    assert main(["shrink", str(library)]) == 3
    assert "Nothing to do: 3 photos" in capsys.readouterr().out


def test_second_run_at_once_refuses_or_waits(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FileLock(places.lock_file()):
        assert main(["shrink", str(library)]) == 4
        assert "another run is at work" in capsys.readouterr().err
        assert not list(library.glob("*.pico"))
        waiting = subprocess.Popen(command("shrink", library, "--wait"), stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
    assert waiting.wait(60) == 0
    assert len(list(library.glob("*.pico"))) == 3


def test_two_runs_at_once_shrink_every_photo_once(library: Path) -> None:
    runs = [
        subprocess.Popen(command("shrink", library, "--wait"), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 3]
    assert sum("Nothing to do: 3 photos" in output for output in outputs) == 1


def test_damaged_or_later_journal_is_named_and_left_alone(home: Path) -> None:
    home.mkdir()
    file = home / "journal.sqlite3"
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalError, match="is damaged; move it away"):
        Journal(file)
    assert file.read_bytes() == b"not a database at all" * 100
    file.unlink()
    Journal(file).close()
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)
    with pytest.raises(JournalError, match="later version"):
        Journal(file)


@pytest.mark.parametrize(
    "kind",
    ["nfs4", "glusterfs", "lustre", "vboxsf", "virtiofs", "smb2", "CIFS", "fuse.sshfs", "fuse.glusterfs"],
)
def test_journal_on_a_network_disk_is_refused(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "file_system", lambda path: kind)
    with pytest.raises(places.PlaceError, match=rf"network disk \({kind}\)"):
        places.journal_file()
    assert places.file_system.__name__ == "<lambda>"


@pytest.mark.parametrize("kind", ["ext4", "fuseblk", "fuse.gocryptfs", None])
def test_journal_on_a_disk_of_this_computer_is_taken(
    kind: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "file_system", lambda path: kind)
    assert places.journal_file().parent == home


def test_planning_ten_thousand_known_photos_reads_no_photo(library: Path, tmp_path: Path) -> None:
    """The photos cannot even be read: what the journal knows is enough."""
    for number in range(200):
        path = library / f"x{number}.jpg"
        path.write_bytes(b"no picture")
        path.with_name(path.name + ".pico").write_bytes(b"")
    with Journal(places.journal_file()) as journal:
        run = journal.start_run("beside", [library], {})
        for path in sorted(library.glob("x*.jpg")):
            identity = Identity.of(path.stat())
            target = path.with_name(path.name + ".pico")
            journal.record(Record(path, identity, Outcome.SAVED, target=target, run=run))
        plan = make_plan([library], Choice(), Settings(), journal)
    assert plan.unchanged == 200
    assert [photo.path.name for photo in plan.photos] == ["0.png", "1.png", "2.png"]


def test_row_that_holds_nonsense_is_a_damaged_journal_and_no_traceback(tmp_path: Path) -> None:
    library = folder_of_drawings(tmp_path / "Photos", 1)
    assert main(["shrink", str(library)]) == 0
    with contextlib.closing(sqlite3.connect(places.journal_file())) as database:
        database.execute("UPDATE photos SET outcome = 'nonsense'")
        database.commit()
    with Journal(places.journal_file()) as journal, pytest.raises(JournalError, match="damaged"):
        journal.photos(1)


def test_file_number_of_128_bits_fits_into_the_journal(tmp_path: Path) -> None:
    values = list(tmp_path.stat())
    values[1] = (1 << 100) + 5
    assert Identity.of(os.stat_result(values)).inode == 5
