"""The mark in a .pico file that tells which file it was made from: the SHA-256 of that file's bytes, an opaque item.

Two pictures of a burst, or a photo before and after a small retouch, may look so much alike that no comparison of
pixels tells them apart. The mark does, for as long as the .pico file exists. It is no part of the picture: nothing but
.pico files carries it.
"""

from __future__ import annotations

from dataclasses import replace

from pico_core import Extra, Metadata

NAME = "SHA-256 of the original"
_FORMAT_NAME = "format of the original"
_TYPE = "application/octet-stream"


def marked(metadata: Metadata, digest: bytes, kind: str | None = None) -> Metadata:
    """Metadata with the mark of an original whose SHA-256 (32 bytes) is `digest`, in place of any other.

    `kind` is Pillow's name of its format, which need not be the one that its name promises.
    """
    plain, _ = parted(metadata)
    marks = [Extra(NAME, _TYPE, digest)]
    if kind is not None:
        marks.append(Extra(_FORMAT_NAME, _TYPE, kind.encode()))
    return replace(plain, extras=(*plain.extras, *marks))


def format_of(metadata: Metadata) -> str | None:
    """Pillow's name of the format that the original had; None if there is no mark of it."""
    kinds = [extra.data for extra in metadata.extras if extra.name == _FORMAT_NAME]
    return kinds[-1].decode("ascii", "replace") if kinds else None


def parted(metadata: Metadata) -> tuple[Metadata, bytes | None]:
    """Metadata without the mark, and the SHA-256 that it holds; None if there is no mark."""
    others = tuple(extra for extra in metadata.extras if extra.name not in (NAME, _FORMAT_NAME))
    if len(others) == len(metadata.extras):
        return metadata, None
    marks = [extra.data for extra in metadata.extras if extra.name == NAME]
    return replace(metadata, extras=others), marks[-1] if marks else None
