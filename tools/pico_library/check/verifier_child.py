"""The verifier's own process: answers one question a line, until its standard input ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pico_codec.cli import explain
from pico_core import decode, encode
from pico_core.errors import UnknownModelError
from pico_library.check.checking import Checked, CheckError, check_against, check_whole
from pico_look import look

_SAMPLE = 256  # pixels a side of what is decoded and looked at before the first question


def main() -> int:
    """Answer questions, each a JSON object on a line, with one JSON object on a line."""
    # Ctrl-C reaches every process of the terminal; it is for the other one to decide what to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    # Whatever a library prints must not end up between the answers. Writing them fails if the other process has died.
    with (
        contextlib.suppress(OSError),
        os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii") as answers,
    ):
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        warm_up()
        for line in sys.stdin:
            if line.endswith("\n"):  # or the other process died amid its question
                answers.write(json.dumps(answer(json.loads(line))) + "\n")
                answers.flush()
    return 0


def warm_up() -> None:
    """Load the networks while the other process still encodes the first photo; errors come again with a question."""
    with contextlib.suppress(Exception):
        sample = np.random.default_rng(0).integers(0, 256, (_SAMPLE, _SAMPLE, 3), np.uint8)
        look(sample, decode(encode(sample, preview=False)))


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Check what the question asks for; any error becomes part of the answer."""
    target = Path(question["target"])
    try:
        if question["original"] is None:
            return _said(check_whole(target))
        return _said(check_against(target, Path(question["original"]), keep_extras=question["keep_extras"]))
    except Exception as error:  # one photo's trouble must not end the verifier
        kind = "check" if isinstance(error, CheckError) else "other"
        kind = "weights" if isinstance(error, UnknownModelError) else kind
        return {"error": explain(error), "kind": kind}


def _said(checked: Checked) -> dict[str, Any]:
    return {
        "target_digest": checked.target_digest.hex(),
        "original_digest": checked.original_digest.hex() if checked.original_digest else None,
        "marked_digest": checked.marked_digest.hex() if checked.marked_digest else None,
        "look": checked.look.as_json() if checked.look else None,
    }


if __name__ == "__main__":
    sys.exit(main())
