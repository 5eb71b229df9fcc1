"""Command `pico-library verify`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pico_codec.source import FILE_ERRORS
from pico_library.arguments import path_of, plain_path
from pico_library.console import FAILED, FINE, INTERRUPTED, NOTHING, USAGE, complain, plural
from pico_library.store import places
from pico_library.store.paths import exists

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
    from pico_library.model.settings import DEFAULT_DIFFERENCE
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
        likeness = checked.likeness
        if likeness is not None and not likeness.accepted(
            max(DEFAULT_DIFFERENCE, (known and known.score) or 0.0)
        ):
            return f"does not look like {original} (LPIPS {likeness.difference}); keep the original"
        if checked.marked_digest not in (None, checked.original_digest):
            return f"was made from other bytes than {original} holds now; that may have been edited since, so keep both"
    if known is not None and known.target_digest not in (None, checked.target_digest):
        return "reads and decodes, but is not the file that was written; it may have been replaced"
    return None
