"""Command `pico-library verify`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pico_codec.source import FILE_ERRORS
from pico_library.arguments import path_of, plain_path
from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, USAGE, complain, plural
from pico_library.store import places
from pico_library.store.paths import exists

if TYPE_CHECKING:
    from pico_library.model.records import Record

_ROUNDING = 1.001  # another processor may round the sums of a look otherwise

DESCRIPTION = """Check .pico files: every checksum, that every tile decodes and, where the journal knows a file, that
its bytes are those that were written. With --against, each is compared with its original in DIR, which has the same
subfolders: size, metadata byte for byte, and the look."""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the options."""
    command.add_argument(
        "paths", metavar="PATH", type=plain_path, nargs="+", help=".pico files, and folders of them"
    )
    command.add_argument("--against", type=path_of, metavar="DIR", help="compare with the originals in DIR")


def run(arguments: argparse.Namespace) -> int:
    """Check, and name what is wrong."""
    from pico_codec.cli import explain
    from pico_library.check.verifier import Verifier
    from pico_library.commands.progress import Walk
    from pico_library.store.journal import Journal

    for path in [*arguments.paths, *([arguments.against] if arguments.against else [])]:
        if not exists(path):
            complain(path, "there is no such file or folder; check the spelling")
            return USAGE
    fine = wrong = 0
    walk = Walk(arguments.paths)
    with Journal(places.journal_file()) as journal, Verifier() as verifier, walk:
        for pico, base in walk:
            try:
                problem = _problem(pico, base, arguments.against, journal, verifier)
            except FILE_ERRORS as error:
                problem = explain(error)
            if problem is None:
                fine += 1
            else:
                wrong += 1
                complain(pico, problem)
    walk.tell()
    wrongs = f" {wrong:,} NOT: see above." if wrong else ""
    unseen = f" {plural(len(walk.closed), 'folder')} NOT looked into: see above." if walk.closed else ""
    print(f"{plural(fine, '.pico file')} fine.{wrongs}{unseen}{walk.ending}")
    if walk.interrupted:
        return INTERRUPTED
    if wrong or walk.closed:
        return FAILED
    return FINE if fine else NOTHING


def _problem(pico: Path, base: Path, against: Path | None, journal: object, verifier: object) -> str | None:
    from pico_library.check.checking import CheckError
    from pico_library.check.verifier import Verifier
    from pico_library.report.words import difference_in_words
    from pico_library.run.restore import original_name
    from pico_library.store.journal import Journal

    assert isinstance(journal, Journal)
    assert isinstance(verifier, Verifier)
    known = journal.by_target(pico)
    if against is None:
        checked = verifier.check_whole(pico)
    else:
        original = against / pico.parent.relative_to(base) / original_name(pico)
        if not original.is_file():
            return f"its original is not at {original}"
        try:
            checked = verifier.check_against(pico, original)
        except CheckError:
            checked = verifier.check_against(pico, original, keep_extras=True)
        if checked.marked_digest not in (None, checked.original_digest):
            return f"was made from other bytes than {original} holds now; that may have been edited since, so keep both"
        look = checked.look
        if look is not None and not look.accepted(_largest_strength(pico, known)):
            worst = look.places[0]
            return f"does not look like {original}: {difference_in_words(worst.kind, worst.box)}; keep the original"
    if known is not None and known.target_digest not in (None, checked.target_digest):
        return "reads and decodes, but is not the file that was written; it may have been replaced"
    return None


def _largest_strength(pico: Path, known: Record | None) -> float:
    """What passes for a .pico file: the limit at its quality, or how it looked to the run that took it."""
    from pico_core import PicoFile
    from pico_library.model.settings import DEFAULT_QUALITY
    from pico_look import limit_at

    with PicoFile(pico, max_pixels=None) as file:
        limit = limit_at(DEFAULT_QUALITY if file.quality is None else file.quality)
    return limit if known is None or known.score is None else max(limit, _ROUNDING * known.score)
