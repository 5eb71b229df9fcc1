"""The results of a run as a table for people."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pico_library.console import printable
from pico_library.model.reasons import NO_PHOTOS, Reason
from pico_library.model.records import Record
from pico_library.report.words import in_words, look_in_words, worst_in_words

MOST_ROWS = 40
_MOST_UNLIKE = 8
_WIDEST_NAME = 60


def size(count: int) -> str:
    """A number of bytes with a unit of the decimal kind, as file managers show it: `949 B`, `12.3 kB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def savings_table(saved: Sequence[Record]) -> str:
    """Table of the files shrunk, with their total; beyond MOST_ROWS, those that shrank most."""
    shown = sorted(saved, key=lambda one: one.path)
    if len(shown) > MOST_ROWS:
        shown = sorted(saved, key=lambda one: (one.after or 0) - (one.before or 0))[:MOST_ROWS]
    common = common_folder([one.path for one in shown])
    columns = 5 if any(look_in_words(one) for one in shown) else 4
    rows = []
    for one in shown:
        before, after = one.before or 0, one.after or 0
        name, look = shown_name(one.path, common), look_in_words(one) or ""
        rows.append((name, size(before), size(after), share(before, after), look))
    if len(saved) > len(shown):
        rows.append((f"... and {len(saved) - len(shown):,} more", "", "", "", ""))
    before, after = sum(one.before or 0 for one in saved), sum(one.after or 0 for one in saved)
    photos = "1 photo" if len(saved) == 1 else f"{len(saved):,} photos"
    return layout(
        ("file", "original", ".pico", "smaller", "difference")[:columns],
        [row[:columns] for row in rows],
        (photos, size(before), size(after), share(before, after), "")[:columns],
    )


def left_alone(skipped: Sequence[tuple[str, int | None]]) -> str:
    """What was left alone, from the reason and the size in bytes of each file; photos, and apart what is none."""
    photos = [one for one in skipped if one[0] not in NO_PHOTOS]
    others = [one for one in skipped if one[0] in NO_PHOTOS]
    parts = []
    for name, group in (("Skipped", photos), ("No photos", others)):
        if group:
            total = sum(count or 0 for _, count in group)
            table = reasons_table([reason for reason, _ in group])
            parts.append(f"{name} {len(group):,} ({size(total)}):\n{table}")
    return "\n\n".join(parts)


def reasons_table(reasons: Sequence[str]) -> str:
    """How many files were skipped for which reason, the most frequent first."""
    counts = Counter(reasons)
    width = max(len(f"{count:,}") for count in counts.values())
    return "\n".join(f"  {count:>{width},}  {in_words(reason)}" for reason, count in counts.most_common())


def unlike(records: Sequence[Record]) -> str:
    """What differs, and where, in photos that were left alone for their look; empty if there are none."""
    found = sorted(
        (one for one in records if one.reason == Reason.UNLIKE and worst_in_words(one)),
        key=lambda one: one.path,
    )
    if not found:
        return ""
    lines = [f"  {printable(str(one.path))}: {worst_in_words(one)}" for one in found[:_MOST_UNLIKE]]
    if len(found) > len(lines):
        lines.append(f"  ... and {len(found) - len(lines):,} more")
    return "\n".join(["What would not look like the original:", *lines])


def share(before: int, after: int) -> str:
    """How much smaller the second is, in percent."""
    return f"{100 * (before - after) / max(before, 1):.1f} %"


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that holds all files: it need not be repeated in every row; if there is none, `.`."""
    parents = {path.parent for path in paths}
    common = min(parents, default=Path())
    while not all(parent == common or common in parent.parents for parent in parents):
        if common == common.parent:
            return Path()  # two disks, or a disk and an object store
        common = common.parent
    return common


def shown_name(path: Path, common: Path) -> str:
    """The path below the common folder, fit for a terminal; long ones lose their beginning."""
    name = str(path.relative_to(common) if path.is_relative_to(common) else path)
    # Names may hold bytes that are no text, and control characters that would garble the terminal.
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= _WIDEST_NAME else "..." + name[3 - _WIDEST_NAME :]


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes: letters of East Asia two each, accents none."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def layout(heading: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> str:
    """Columns that line up, the first to the left, under a heading and, if there is one, over a total."""
    every = [heading, *rows] + ([total] if total else [])
    widths = [max(_cells(row[column]) for row in every) for column in range(len(heading))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell + " " * (w - _cells(cell)) if n == 0 else " " * (w - _cells(cell)) + cell
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(heading), rule, *map(line, rows), *([rule, line(total)] if total else [])])
