""".pico files back into pictures of the format that they had, with every byte of metadata, dates and access rights."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pico_codec import origin, returned
from pico_codec.convert import picture_bytes
from pico_codec.files import OutputError, partial_file, remove_leftovers
from pico_core import Extra, Metadata, PicoFile
from pico_core.errors import CorruptError
from pico_library.check import read_back
from pico_library.check.checking import read_from_disk
from pico_library.model import extras
from pico_library.model.photo import FORMATS as NAMED
from pico_library.model.photo import PHOTO_EXTENSIONS, PICO_EXTENSION
from pico_library.run.scaling import scaled
from pico_library.store import originals
from pico_library.store.paths import is_folder

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
#: Of what an original is made again whose format nothing here writes, or not with all its metadata.
_INSTEAD = {"MPO": "JPEG", "HEIF": "JPEG", "TIFF": "PNG"}
_EXTENSIONS = {kind: extension for extension, kind in FORMATS.items()}


class TakenError(OutputError):
    """Something has the name that a picture would get."""

    def __init__(self, target: Path) -> None:
        super().__init__(f"{target} exists already; move it away, or choose another folder with --output")


@dataclass(frozen=True)
class How:
    """With which `quality` (0 to 100) a JPEG or WebP file is written, and how long its longer side is at most."""

    quality: int | None = None
    max_side: int | None = None


@dataclass(frozen=True)
class Restored:
    """A file that was written; `lost` names what its format could not take.

    `trailing` is how many bytes follow the end of the picture in the .pico file.
    """

    target: Path
    lost: Sequence[str]
    trailing: int = 0


def find(
    roots: Sequence[Path], on_problem: Callable[[OSError], object] | None = None
) -> Iterator[tuple[Path, Path]]:
    """The .pico files among the roots and in the folders below them, each with the root that it belongs to.

    A file is found once, however many roots lead to it, and belongs to the first. A folder that cannot be listed is
    passed over; `on_problem` gets the error, whose `filename` is the folder, once. Raises GivenError for a root that
    cannot be looked at.
    """
    seen: set[Path] = set()

    def is_new(path: Path) -> bool:
        before = len(seen)
        seen.add(path)
        return len(seen) > before

    def tell(error: OSError) -> None:
        if on_problem is not None and is_new(Path(error.filename)):
            on_problem(error)

    for root in roots:
        for path, base in _below(root, tell):
            if is_new(path):
                yield path, base


def _below(root: Path, on_problem: Callable[[OSError], object]) -> Iterator[tuple[Path, Path]]:
    """The .pico files below one root, or the root itself."""
    if not is_folder(root):
        yield root.parent.resolve() / root.name, root.parent.resolve()
        return
    base = root.resolve()
    for folder, below, names in os.walk(base, onerror=on_problem):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(PICO_EXTENSION) and not name.startswith("."):
                yield Path(folder, name), base


def original_name(pico: Path) -> str:
    """The name that the original has by that of the .pico file. A file that is not named like one keeps its name."""
    return pico.stem if is_named_pico(pico) else pico.name


def is_named_pico(path: Path) -> bool:
    """Whether a file is named like a .pico file."""
    return path.suffix.lower() == PICO_EXTENSION


def name_of(pico: Path, extension: str | None) -> str:
    """The name of the picture: `IMG.jpg` from `IMG.jpg.pico`, or with another extension (`png`)."""
    stem = original_name(pico)
    known = Path(stem).suffix.lower() in PHOTO_EXTENSIONS
    if extension is None:
        promised = NAMED.get(Path(stem).suffix.lower())
        instead = _EXTENSIONS.get(_INSTEAD.get(promised or "", ""), "jpg")
        return (
            stem if known and promised not in _INSTEAD else f"{Path(stem).stem if known else stem}.{instead}"
        )
    return f"{Path(stem).stem if known else stem}.{extension}"


def restore_as(pico: Path, folder: Path, extension: str | None, how: How | None = None) -> Restored:
    """Write the picture of a .pico file into a folder, in the format asked for, or that it had; see `restore`.

    A picture with transparency never becomes a JPEG, whatever its name.
    """
    if extension is not None:
        return restore(pico, folder / name_of(pico, extension), how=how)
    target = folder / name_of(pico, None)
    if not is_named_pico(pico):
        return restore(pico, target, how=how)
    with PicoFile(read_from_disk(pico), max_pixels=None) as file:
        kind = origin.format_of(file.metadata)
        has_alpha = file.channels in (2, 4)
    kind = _INSTEAD.get(kind or "", kind)
    if has_alpha and (kind or NAMED[target.suffix.lower()]) == "JPEG":
        return restore(pico, target.with_suffix(".png"), how=how)
    # A file may have been of another format than its name says: then it is so again.
    return restore(pico, target, kind, how)


def restore(pico: Path, target: Path, kind: str | None = None, how: How | None = None) -> Restored:
    """Write the picture of a .pico file, which stays. An existing target is an OutputError, never replaced.

    Its format is that of the target's extension, or `kind`. The file has its name only after it was read back and
    its metadata compared. Raises FILE_ERRORS.
    """
    if not is_named_pico(pico):
        with PicoFile(read_from_disk(pico), max_pixels=None):
            pass  # or its own name would be the first thing in the way of the picture
    if os.path.lexists(target):
        raise TakenError(target)
    kind, how = kind or NAMED[target.suffix.lower()], how or How()
    status = pico.stat()
    with PicoFile(read_from_disk(pico), max_pixels=None) as file:
        file.verify(allow_trailing=True)
        trailing = file.trailing_bytes
        metadata, _ = origin.parted(file.metadata)
        pixels = file.width * file.height
        decoded = scaled(file.decode(), how.max_side)
        data, left, lost = picture_bytes(decoded, metadata, kind, how.quality)
    if kind == "JPEG":
        data = extras.repair_multi_picture(data)
    suited = replace(metadata, extras=returned.suited(metadata.extras, kind))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target.parent)
        with partial_file(target.parent) as partial:
            partial.stream.write(data)
            partial.sync()
            found = read_back.metadata_of(partial.path, pixels)
            _check(found, suited, left, lost)
            with contextlib.suppress(OSError):
                originals.take_over(pico, partial.path, status)
            partial.take_name(target)
    except OSError as error:
        if os.path.lexists(target):
            raise TakenError(target) from error
        msg = f"cannot write {target} ({error.strerror or error}); choose another folder with --output"
        raise OutputError(msg) from error
    return Restored(target, (*lost, *(extra.name for extra in left)), trailing)


def _check(found: Metadata, metadata: Metadata, left: Sequence[Extra], lost: Sequence[str]) -> None:
    """Compare the metadata that should be in a file with those that are. Raises CorruptError."""
    wanted = [
        ("EXIF", _bare(metadata.exif), _bare(found.exif)),
        ("XMP", metadata.xmp, found.xmp),
        ("ICC profile", metadata.icc, found.icc),
    ]
    for name, before, after in wanted:
        if name not in lost and before != after:
            msg = f"the {name} read back differs; the file was discarded"
            raise CorruptError(msg)
    missing = _counted(metadata.extras) - _counted((*found.extras, *left))
    if missing:
        msg = f"{', '.join(sorted({name for name, _ in missing}))} did not come back; the file was discarded"
        raise CorruptError(msg)


def _bare(exif: bytes | None) -> bytes:
    """EXIF as a WebP file has it: other formats begin it with a prefix of their own."""
    return (exif or b"").removeprefix(b"Exif\0\0")


def _counted(items: Sequence[Extra]) -> Counter[tuple[str, bytes]]:
    """How often each item is there. The index of a multi-picture file is repaired: its bytes do not count."""
    return Counter((one.name, b"" if one.data.startswith(extras.MPF) else one.data) for one in items)
