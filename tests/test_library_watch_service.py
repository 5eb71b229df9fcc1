"""The watcher as a service of systemd or launchd: its file, what starts it anew, and what is refused."""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from library_samples import fingerprint, use_own_folders

from pico_library.cli import main
from pico_library.commands.parsers import parsers
from pico_library.watch.service import Service, agent, service_for, unit, words_of

ODD = "we ird %n %% \"$HOME\" \\t 'x' é; ü"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_own_folders(monkeypatch, tmp_path / "home")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


def test_unit_names_every_path_as_it_is(folder: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")

    def verify(text: str) -> subprocess.CompletedProcess[str]:
        file = folder / "pico-library-watch.service"
        file.write_text(text)
        asked = ["systemd-analyze", "--user", "verify", str(file)]
        surroundings = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        return subprocess.run(asked, capture_output=True, text=True, check=False, env=surroundings)

    # systemd looks whether the program exists: it only finds it if it reads the name as it was meant.
    program = folder / "we ird $HOME %n %% é; ü"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = verify(unit([str(program), "watch", ODD], {"PICO_LIBRARY_HOME": ODD}))
    assert (done.returncode, done.stderr) == (0, "")
    # Quotes it reads, and then refuses in names of programs, though not in what they are given.
    quoted = folder / ODD.replace("$", "")
    assert f"special characters: {quoted}\n" in verify(unit([str(quoted)], {})).stderr


def test_unit_doubles_what_systemd_would_replace() -> None:
    line = next(
        line for line in unit(["/bin/x", ODD], {}).splitlines() if line.startswith("ExecStart=")
    ).partition("=")[2]
    words = shlex.split(line)  # quotes and backslashes as in a shell; then the two that are systemd's own
    assert [word.replace("%%", "%").replace("$$", "$") for word in words] == ["/bin/x", ODD]
    assert "KillMode=mixed" in unit(["x"], {})


def test_agent_is_a_property_list_with_every_word() -> None:
    facts = plistlib.loads(agent(["/usr/bin/python3", "-m", ODD], {"A": ODD}, Path("/tmp/x.log")))
    assert facts["ProgramArguments"] == ["/usr/bin/python3", "-m", ODD]
    assert facts["EnvironmentVariables"] == {"A": ODD}
    assert facts["KeepAlive"] == {"SuccessfulExit": False}


def test_installed_words_mean_what_was_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    typed = [
        "--quality=70", "--archive=old", "--min-saving=20%", "--exclude=*.png", "--exclude=-x", "--settle=1min",
        "--max-memory=2GB", "--on-battery", "--priority=normal", "--jobs=3", "Photos", "./My Photos/",
    ]  # fmt: skip
    parser = parsers()["watch"]
    asked = parser.parse_args(typed)
    again = parser.parse_args(words_of(parser, asked, ("paths",)))
    assert again.paths == [folder, folder.parent / "My Photos"]
    assert again.archive == folder.parent / "old"
    for name in (
        "quality",
        "min_saving",
        "exclude",
        "settle",
        "max_memory",
        "on_battery",
        "priority",
        "jobs",
    ):
        assert getattr(again, name) == getattr(asked, name)
    assert words_of(parser, parser.parse_args(["Photos"]), ("paths",)) == [str(folder)]


def test_install_writes_below_home_only_and_uninstall_removes_it(
    folder: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = folder / "100 % mine"
    odd.mkdir()
    before = fingerprint(folder)
    assert main(["watch", "--install", "--quality", "70", str(odd)]) == 0
    said = capsys.readouterr().out
    assert "pico-library watch --uninstall" in said
    service = service_for(())
    assert str(service.file) in said
    assert service.file.is_relative_to(home)
    content = service.file.read_text()
    assert "--quality=70" in content
    assert f"PICO_LIBRARY_HOME={home}" in content
    if sys.platform.startswith("linux"):
        assert "systemctl --user enable pico-library-watch.service" in said
        assert "systemctl --user restart pico-library-watch.service" in said
        assert '/100 %% mine"' in content
    assert main(["watch", "--install", str(odd)]) == 0
    said = capsys.readouterr().out
    assert "Replaced" in said
    assert "keeps its old options until it is started anew" in said
    assert main(["watch", "--uninstall"]) == 0
    assert not service.file.exists()
    assert main(["watch", "--uninstall"]) == 3
    assert fingerprint(folder) == before


def test_installed_service_finds_the_journal_of_this_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PICO_LIBRARY_HOME", "home")
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    content = service_for(["x"], "linux").content.decode()
    assert f'"PICO_LIBRARY_HOME={tmp_path / "home"}"' in content
    assert "XDG_DATA_HOME" not in content, "relative ones are ignored in either place"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert f"XDG_DATA_HOME={tmp_path / 'data'}" in service_for(["x"], "linux").content.decode()


def put_program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in place of the system's own, which keeps in `running` the description that it last started."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nset -e\nrunning={shlex.quote(str(folder / 'running'))}\n{script}")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="installs for systemd")
def test_service_that_is_running_is_started_anew_with_new_options(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """unit="$HOME/.config/systemd/user/pico-library-watch.service"
    case "$2 $3" in
    "enable --now") test -e "$running" || cp "$unit" "$running" ;;
    "restart pico-library-watch.service") cp "$unit" "$running" ;;
    esac"""
    put_program(tmp_path / "bin", "systemctl", script, monkeypatch)
    for quality in ("70", "80"):
        assert main(["watch", "--install", "--start", "--quality", quality, str(folder)]) == 0
        assert f"--quality={quality}" in (tmp_path / "bin" / "running").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="installs for systemd")
@pytest.mark.parametrize("reached", [True, False])
def test_uninstall_says_that_the_service_is_stopped_only_if_it_is(
    reached: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = "" if reached else 'echo "Failed to connect to bus: No medium found" >&2; exit 1'
    put_program(tmp_path / "bin", "systemctl", script, monkeypatch)
    assert main(["watch", "--install", str(folder)]) == 0
    capsys.readouterr()
    assert main(["watch", "--uninstall"]) == 0
    assert not service_for(()).file.exists()
    said = capsys.readouterr()
    assert ("Stopped the service and removed" in said.out) == reached
    assert ("Failed to connect to bus: No medium found); if it runs, it goes on until" in said.err) != reached


def test_agent_that_is_running_is_started_anew_with_new_options(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """case "$1" in
    bootstrap) test ! -e "$running"; cp "$3" "$running" ;;
    bootout) rm "$running" ;;
    esac"""
    put_program(tmp_path / "bin", "launchctl", script, monkeypatch)
    for word in ("first", "second"):
        service = service_for([word], "darwin")
        service.install()
        service.begin()
        assert word in (tmp_path / "bin" / "running").read_text()


def test_install_refuses_what_would_not_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--install", str(folder / "missing")]) == 2
    assert main(["watch", "--install", "--once", str(folder)]) == 2
    assert main(["watch", "--start", str(folder)]) == 2
    (folder / "new\nline").mkdir()
    assert main(["watch", "--install", str(folder / "new\nline")]) == 1
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    if sys.platform.startswith("linux"):
        assert main(["watch", "--install", str(folder)]) == 1
        assert not (tmp_path / "elsewhere" / "systemd").exists()
    assert "rename it" in capsys.readouterr().err


def test_service_that_cannot_be_started_says_why(home: Path, tmp_path: Path) -> None:
    from pico_library.watch.service import ServiceError

    file = home / "x.service"
    with pytest.raises(ServiceError, match="there is no no-such-program"):
        Service(file, b"", (("no-such-program",),), (), "").begin()
    with pytest.raises(ServiceError, match="false: ended with 1"):
        Service(file, b"", (("false",),), (), "").begin()
    with pytest.raises(ServiceError, match="task scheduler"):
        service_for(["x"], "win32")
    assert str(os.getuid()) in service_for(["x"], "darwin").start[0][2]
