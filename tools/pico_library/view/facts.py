"""The information panel of a picture: names and texts, in the order in which they are shown."""

from __future__ import annotations

from pico_codec.source import FILE_ERRORS
from pico_core.container import Container
from pico_core.errors import PicoError
from pico_library.view.before import Before, record_of
from pico_library.view.catalogue import Entry
from pico_library.view.exif import camera_facts


def facts_of(entry: Entry, before: Before | None) -> list[tuple[str, str]]:
    """What is known of a picture and its file. A damaged file has fewer facts, and one that says so."""
    day, _, time = entry.taken.partition("T")
    facts = [("Taken" if entry.dated else "File's date", f"{day}, {time[:5]}")]
    if entry.error is not None:
        facts.append(("Problem", entry.error))
    try:
        with entry.path.open("rb") as stream:
            facts += _contents(entry, Container(stream, allow_truncated=True))
    except FILE_ERRORS:
        pass  # the entry's own error has said so
    facts += _sizes(entry, before)
    facts.append(("File", str(entry.path)))
    if before is not None and before.path.parent != entry.path.parent:
        facts.append(("Original at", str(before.path)))
    return facts


def _contents(entry: Entry, container: Container) -> list[tuple[str, str]]:
    picture = container.picture
    megapixels = picture.width * picture.height / 1e6
    facts = camera_facts(_exif(container))
    facts.append(
        ("Pixels", f"{entry.width:,} \N{MULTIPLICATION SIGN} {entry.height:,} ({megapixels:.1f} megapixels)")
    )
    if picture.model_id is None:
        facts.append(("Quality", "lossless"))
    elif picture.quality is None:
        facts.append(("Quality", f"level {picture.level:g}"))
    else:
        facts.append(("Quality", f"{picture.quality} of 100"))
    carried = [
        name
        for name, data in (
            ("EXIF", _exif(container)),
            ("XMP", _xmp(container)),
            ("ICC profile", container.icc),
        )
        if data
    ]
    facts.append(("Carries", ", ".join(carried) or "no metadata"))
    return facts


def _sizes(entry: Entry, before: Before | None) -> list[tuple[str, str]]:
    record = record_of(entry.path)
    original = None if record is None else record.before
    if original is None and before is not None:
        original = before.size
    if original is None:
        return [("Size", in_words(entry.size))]
    return [
        ("Size", f"{in_words(entry.size)}, from {in_words(original)}"),
        ("Saved", f"{1 - entry.size / original:.0%}" if original else "nothing"),
    ]


def in_words(size: int) -> str:
    """A number of bytes as people read it: `870 kB`, `3.4 MB`."""
    if size < 1000:
        return f"{size} bytes"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size < 999.5 * factor:
            return f"{size / factor:.{0 if size >= 99.5 * factor else 1}f} {unit}"
    return f"{size / 1e9:.1f} GB"


def _exif(container: Container) -> bytes | None:
    try:
        return container.exif
    except PicoError:
        return None


def _xmp(container: Container) -> bytes | None:
    try:
        return container.xmp
    except PicoError:
        return None
