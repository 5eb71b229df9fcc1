"""The results of a run as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pico_library.scan import Skipped
from pico_library.shrink import Saved

MOST_ROWS = 40
_WIDEST_NAME = 60


def size(count: int) -> str:
    """A number of bytes with a unit of the decimal kind, as file managers show it: `949 B`, `12.3 kB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def savings_table(saved: Sequence[Saved]) -> str:
    """Table of the files shrunk, with their total; beyond MOST_ROWS, those that saved most."""
    shown = list(saved)
    if len(shown) > MOST_ROWS:
        shown = sorted(saved, key=lambda one: one.after - one.before)[:MOST_ROWS]
    common = _common_folder(shown)
    rows = [
        (_name(one.photo.path, common), size(one.before), size(one.after), _share(one.before, one.after))
        for one in shown
    ]
    if len(saved) > len(shown):
        rows.append((f"... and {len(saved) - len(shown):,} more", "", "", ""))
    before, after = sum(one.before for one in saved), sum(one.after for one in saved)
    photos = "1 photo" if len(saved) == 1 else f"{len(saved):,} photos"
    return _layout(
        ("file", "before", "after", "saved"), rows, (photos, size(before), size(after), _share(before, after))
    )


def reasons_table(skipped: Sequence[Skipped]) -> str:
    """How many files were skipped for which reason, the most frequent first."""
    counts = Counter(one.reason for one in skipped)
    width = max(len(f"{count:,}") for count in counts.values())
    return "\n".join(f"  {count:>{width},}  {reason}" for reason, count in counts.most_common())


def _share(before: int, after: int) -> str:
    return f"{100 * (before - after) / before:.1f} %"


def _common_folder(saved: Sequence[Saved]) -> Path:
    """The deepest folder that holds all files: it need not be repeated in every row."""
    parents = [one.photo.path.parent for one in saved]
    common = parents[0] if parents else Path()
    while not all(parent == common or common in parent.parents for parent in parents):
        common = common.parent
    return common


def _name(path: Path, common: Path) -> str:
    name = str(path.relative_to(common))
    # Names may hold bytes that are no text, and control characters that would garble the terminal.
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= _WIDEST_NAME else "..." + name[3 - _WIDEST_NAME :]


def _layout(heading: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str]) -> str:
    widths = [max(len(row[column]) for row in (heading, *rows, total)) for column in range(len(heading))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(w) if n == 0 else cell.rjust(w)
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(heading), rule, *map(line, rows), rule, line(total)])
