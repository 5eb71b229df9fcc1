"""Who may read a file: access rights and access control lists, copied so that nobody gains by a copy.

Lists (POSIX.1e, as Linux keeps them, and those of NFSv4) are copied where the disk of the copy can hold them. Where it
cannot, the rights are narrowed to what everybody in question had.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from pathlib import Path

_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_LISTS = (_ACCESS, _DEFAULT, "system.nfs4_acl")
_GROUP, _MASK = (
    4,
    16,
)  # kinds of entries in a list: of the owning group, and what all but owner and others get at most
_HEAD, _ENTRY = 4, struct.Struct("<HHI")


def copy_rights(source: Path, target: Path, mode: int) -> None:
    """Give a file or folder the rights `mode` (its type may be among the bits), and another's lists. Raises OSError.

    The copy has its owner and group by now. Where the group is another one than the source's, its members get no more
    than everybody does.
    """
    rights = stat.S_IMODE(mode)
    if source.stat().st_gid != target.stat().st_gid:
        rights &= ~stat.S_IRWXG | (rights & stat.S_IRWXO) << 3
    lists = _lists_of(source)
    _remove_lists(target)  # a new file inherits what its folder says
    target.chmod(_without_list(rights, lists.get(_ACCESS)))
    if not lists:
        return
    with contextlib.suppress(OSError):  # a disk that knows no lists: the rights are narrow by now
        for name, value in lists.items():
            os.setxattr(target, name, value)


def _lists_of(path: Path) -> dict[str, bytes]:
    found = {}
    if hasattr(os, "getxattr"):
        for name in _LISTS:
            with contextlib.suppress(OSError):  # there is none, or the disk knows none
                found[name] = os.getxattr(path, name)
    return found


def _remove_lists(path: Path) -> None:
    if hasattr(os, "removexattr"):
        for name in (_ACCESS, _DEFAULT):
            with contextlib.suppress(OSError):
                os.removexattr(path, name)


def _without_list(rights: int, access: bytes | None) -> int:
    """The rights of a file that is to have no list: beside one, the bits of the group are its mask."""
    if access is None:
        return rights
    entries = [
        _ENTRY.unpack_from(access, at) for at in range(_HEAD, len(access) - _ENTRY.size + 1, _ENTRY.size)
    ]
    allowed: dict[int, int] = {kind: right for kind, right, _ in entries if kind in (_GROUP, _MASK)}
    group = allowed.get(_GROUP, 0) & allowed.get(_MASK, 7)
    return rights & ~stat.S_IRWXG | group << 3
