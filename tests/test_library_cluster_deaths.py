"""Workers of `--engine dask` that die at any step, or are stopped: every photo arrives all the same, whole.

And those that write where nobody else sees it: no photo counts as saved that did not arrive.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from library_samples import command, drawing, newest_of_all

pytest.importorskip("distributed", reason="needs the extra [dask]")
pytest.importorskip("s3fs", reason="needs the extra [dask]")
pytest.importorskip("moto.server", reason="needs moto's server")

from cluster_samples import BUCKET, mortal_worker, object_store, objects, system

from pico_core import PicoFile
from pico_library.cluster.engine import Engine
from pico_library.cluster.session import open_session
from pico_library.cluster.work import Task
from pico_library.model.faults import VARIABLE, Step
from pico_library.model.records import Outcome, Record
from pico_library.model.settings import Settings
from pico_library.outcomes import Published
from pico_library.store import places
from pico_library.store.journal import Journal
from pico_library.store.scan import Choice

STEPS = [Step.ENCODED, Step.WRITTEN, Step.PUBLISHED, Step.DECODING, Step.VERIFIED]
COUNT = 6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICO_LIBRARY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "Photos").mkdir()
    for number in range(COUNT):
        drawing(tmp_path / "Photos" / f"{number}.png", number)
    return tmp_path / "Photos"


@pytest.fixture
def scheduler() -> Iterator[str]:
    """One without workers, which puts any number of deaths down to chance."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 100}),
        LocalCluster(n_workers=0, dashboard_address=None) as cluster,
    ):
        yield cluster.scheduler_address


def shrink(*arguments: object) -> list[str]:
    return command("shrink", "--engine", "dask", *map(str, arguments))


def known() -> dict[str, Record]:
    with Journal(places.journal_file()) as journal:
        return {os.fspath(path): record for path, record in newest_of_all(journal).items()}


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not what():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def check_whole(contents: list[bytes]) -> None:
    for content in contents:
        with PicoFile(content) as file:
            file.verify()
            file.decode()


def test_workers_killed_at_every_step_lose_nothing(library: Path, scheduler: str) -> None:
    """A worker dies at each step, on the disk and in the store; then one comes that lives."""
    with object_store():
        for path in library.iterdir():
            system().pipe_file(f"{BUCKET}/{path.name}", path.read_bytes())
        before = {path: path.read_bytes() for path in library.iterdir()}
        with ExitStack() as stack:
            workers = [stack.enter_context(mortal_worker(scheduler, f"{step}=kill")) for step in STEPS]
            arguments = shrink("--scheduler", scheduler, library, f"s3://{BUCKET}")
            run = stack.enter_context(
                subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            wait_for(lambda: all(worker.poll() is not None for worker in workers) or run.poll() is not None)
            assert {worker.poll() for worker in workers} == {-signal.SIGKILL}
            assert not places.journal_file().exists() or not known(), "nothing was judged by one that lived"
            check_whole([path.read_bytes() for path in library.glob("*.pico")])
            check_whole([data for name, data in objects().items() if name.endswith(".pico")])
            stack.enter_context(mortal_worker(scheduler))
            output, errors = run.communicate(timeout=90)
            assert run.returncode == 0, output
            # On a slow machine the one that lives may be late, which is said.
            assert all("no worker is left; start one" in line for line in errors.splitlines()), errors
        assert {path: path.read_bytes() for path in before} == before
        assert len(known()) == 2 * COUNT
        assert {record.outcome for record in known().values()} == {Outcome.SAVED}
        assert sorted(path.name for path in library.glob("*.pico")) == [f"{n}.png.pico" for n in range(COUNT)]
        check_whole([path.read_bytes() for path in library.glob("*.pico")])
        check_whole([objects()[f"s3://{BUCKET}/{n}.png.pico"] for n in range(COUNT)])
        assert len(objects()) == 2 * COUNT
    assert list(library.glob(".*.pico-part")), "what was being written stayed"
    assert subprocess.run(shrink(library), check=False, capture_output=True).returncode == 3
    assert not list(library.glob(".*")), "until the next run"


def test_ctrl_c_finishes_what_is_at_work(library: Path) -> None:
    for number in range(COUNT, 60):
        drawing(library / f"{number}.png", number)
    with subprocess.Popen(
        shrink(library), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as run:
        wait_for(lambda: list(library.glob("*.pico")) or run.poll() is not None)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does it: the workers get it too
        try:
            output, errors = run.communicate(timeout=120)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)  # or leaving the block would wait for ever
    assert run.returncode == 130
    assert errors == "pico-library: Ctrl-C: finishing the photos at work; press it again to end at once\n"
    assert "Stopped early" in output
    written = sorted(str(path.with_suffix("")) for path in library.glob("*.pico"))
    assert 0 < len(written) < 60
    assert sorted(known()) == written, "all that is there was judged and taken down"
    with Journal(places.journal_file()) as journal:
        assert [run.state for run in journal.runs()] == ["interrupted"]
    assert not list(library.glob(".*"))


def test_ctrl_c_at_the_moment_of_taking_a_photo_down_loses_no_entry(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_down = Journal.record

    def interrupted(journal: Journal, *records: Record) -> None:
        if records:
            os.kill(os.getpid(), signal.SIGINT)
        taken_down(journal, *records)

    monkeypatch.setattr(Journal, "record", interrupted)
    with open_session(Settings()) as session:
        plan = session.plan([library], Choice())
        with pytest.raises(KeyboardInterrupt):
            list(session.process(plan, jobs=2))
        monkeypatch.setattr(Journal, "record", taken_down)
    assert sorted(known()) == sorted(str(path.with_suffix("")) for path in library.glob("*.pico")) != []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_ends_though_the_worker_that_judges_dies_meanwhile(
    library: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes when the first photo is given to be judged, and one of two workers dies of judging."""
    have_judged = Engine._have_judged

    def interrupted(engine: Engine, task: Task, published: Published, maker: str) -> None:
        have_judged(engine, task, published, maker)
        engine.interrupt()

    monkeypatch.setattr(Engine, "_have_judged", interrupted)
    with mortal_worker(scheduler) as living, mortal_worker(scheduler, f"{Step.VERIFIED}=kill") as dying:
        wait_for_workers(scheduler, 2)
        rescue = threading.Timer(40, living.kill)  # without workers it would end, too
        rescue.start()
        with open_session(Settings(), scheduler=scheduler) as session:
            plan = session.plan([library], Choice())
            with pytest.raises(KeyboardInterrupt):
                list(session.process(plan))
        rescue.cancel()
        assert living.poll() is None, "it waited for a worker that is dead"
        assert dying.poll() == -signal.SIGKILL
    assert sorted(known()) == sorted(str(path.with_suffix("")) for path in library.glob("*.pico")) != []


def wait_for_workers(scheduler: str, count: int) -> None:
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder in whose place a worker may have a disk of its own, as on a machine that did not mount it."""
    (tmp_path / "small").mkdir()
    mounting = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "small")]
    if shutil.which("unshare") is None or subprocess.run(mounting, check=False).returncode != 0:
        pytest.skip("a worker with a disk of its own needs unshare and root")
    return tmp_path / "small"


def test_photo_that_a_worker_wrote_on_a_disk_of_its_own_has_failed(
    library: Path, scheduler: str, elsewhere: Path
) -> None:
    arguments = shrink("--scheduler", scheduler, library, "--output", elsewhere)
    with mortal_worker(scheduler, own_disk=elsewhere):
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert (
        f"this machine does not see {elsewhere / '0.png.pico'}, which a worker has written; mount"
        in done.stderr
    )
    assert {record.outcome for record in known().values()} == {Outcome.FAILED}
    assert not list(elsewhere.iterdir())
    with mortal_worker(scheduler):
        assert subprocess.run(arguments, check=False, capture_output=True).returncode == 0
    assert {record.outcome for record in known().values()} == {Outcome.SAVED}
    assert len(list(elsewhere.iterdir())) == COUNT


def test_worker_that_does_not_see_the_output_folder_is_named(
    library: Path, scheduler: str, elsewhere: Path
) -> None:
    (elsewhere / "2021").mkdir()
    with mortal_worker(scheduler, own_disk=elsewhere):
        arguments = shrink("--scheduler", scheduler, library, "--output", elsewhere / "2021")
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"sees no {elsewhere / '2021'}; mount it there" in done.stderr
    assert not places.journal_file().exists() or not known()


@pytest.mark.slow
def test_photo_over_which_workers_die_fails_and_the_others_are_done(library: Path) -> None:
    (library / "raw.png").write_text("not a picture")
    for number in range(1, COUNT):
        (library / f"{number}.png").unlink()
    variables = {**os.environ, VARIABLE: f"{Step.ENCODED}=kill"}
    done = subprocess.run(shrink(library), env=variables, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "0.png: workers died over this photo again and again" in done.stderr
    assert "not a picture in a format" in done.stdout
    assert {record.outcome for record in known().values()} == {Outcome.FAILED, Outcome.SKIPPED}
    assert subprocess.run(shrink(library), check=False, capture_output=True).returncode == 0
    assert (library / "0.png.pico").exists()


@pytest.mark.slow
def test_client_that_is_killed_leaves_what_the_next_run_takes_over(library: Path, scheduler: str) -> None:
    with mortal_worker(scheduler):
        arguments = shrink("--scheduler", scheduler, library)
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as run:
            wait_for(lambda: list(library.glob("*.pico")))
            run.kill()
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
        assert done.returncode in (0, 3), done.stderr
    assert {record.outcome for record in known().values()} == {Outcome.SAVED}
    assert len(known()) == COUNT
    assert not list(library.glob(".*"))


def test_nothing_is_imported_for_the_engine_that_is_not_used() -> None:
    program = (
        "import sys; from pico_library.cli import main; main(['shrink', '/no/such/folder']); "
        "sys.exit(bool({'distributed', 'dask', 'fsspec', 's3fs', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0
