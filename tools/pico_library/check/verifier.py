"""Has .pico files checked by another process than the one that encoded them.

The process is started when the first file is to be checked and stays, so that it loads the networks once. If it dies,
the question is put to a new one; if that dies over the same file too, the file has failed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from pico_core.errors import PicoError, UnknownModelError
from pico_library.check.checking import Checked, CheckError
from pico_look import Look

_SECONDS = 120.0
_SECONDS_PER_MEGABYTE = 300.0  # of .pico file: a hundred times what a slow machine takes


class VerifierError(PicoError):
    """The verifier's process died or hung over a file, twice."""


class Verifier:
    """The verifier's process, seen from outside. May be used by several threads; it does one file at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def check_whole(self, target: Path) -> Checked:
        """Check a .pico file by itself.

        Raises CheckError with what is wrong, UnknownModelError if its weights are missing, VerifierError, OSError.
        """
        return self._ask(target, None, keep_extras=False)

    def check_against(self, target: Path, original: Path, *, keep_extras: bool = False) -> Checked:
        """Check a .pico file against its original; see `checking.check_against`. Raises as `check_whole` does."""
        return self._ask(target, original, keep_extras=keep_extras)

    def start(self) -> None:
        """Start the process now, so that it is ready when the first file is."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, target: Path, original: Path | None, *, keep_extras: bool) -> Checked:
        seconds = _SECONDS + _SECONDS_PER_MEGABYTE * target.stat().st_size / 1e6
        question = {
            "target": str(target),
            "original": None if original is None else str(original),
            "keep_extras": keep_extras,
        }
        with self._lock:
            reply = self._exchange(question, seconds) or self._exchange(question, seconds)
        if reply is None:
            msg = "the process that checks .pico files died over this one twice; see that there is enough memory"
            raise VerifierError(msg)
        if "error" in reply:
            raise (UnknownModelError if reply["kind"] == "weights" else CheckError)(reply["error"])
        return _checked(reply)

    def _exchange(self, question: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Put a question and wait for the answer; None if the process died or took too long."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(question) + "\n")  # ASCII, whatever bytes the names hold
            process.stdin.flush()
            line = process.stdout.readline()
            if line.endswith("\n"):
                reply: dict[str, Any] = json.loads(line)
                return reply
        except (OSError, ValueError):
            pass  # a broken pipe: it has died
        finally:
            timer.cancel()
        self._end()
        return None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                # -P: the folder that happens to be current may hold a calendar.py
                [sys.executable, "-P", "-m", "pico_library.check.verifier_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="ascii",
                process_group=0 if sys.platform != "win32" else None,
            )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()  # it only reads
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what could not be sent any more
                    stream.close()
        process.wait()


def _checked(reply: dict[str, Any]) -> Checked:
    look = None if reply["look"] is None else Look.of_json(reply["look"])
    target, original, marked = (
        bytes.fromhex(reply[name]) if reply[name] else None
        for name in ("target_digest", "original_digest", "marked_digest")
    )
    assert target is not None
    return Checked(target, original, look, marked)
