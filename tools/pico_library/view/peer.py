"""Which user is at the other end of a connection within this computer, as Linux tells."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_MAPPED = bytes(10) + b"\xff\xff"  # what stands before an IPv4 address where programs speak IPv6 only


def is_this_user(connection: socket.socket) -> bool:
    """Whether the other end of an IPv4 connection is a program of this user; yes where the system does not tell."""
    if not _TABLES[0].exists():
        return True
    local, remote = connection.getpeername(), connection.getsockname()  # as the other end has them
    for table in _TABLES:
        try:
            owner = owner_in(table.read_text(), local, remote)
        except OSError:
            continue  # whoever has all files opened that there may be does not get in by that
        if owner is not None:
            return owner == os.getuid()
    return False


def owner_in(table: str, local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The user whose end of a connection has the address `local`, in a table of such; None if it is not there."""
    wanted = [[_in_hex(*local, kind), _in_hex(*remote, kind), _ESTABLISHED] for kind in (b"", _MAPPED)]
    for line in table.splitlines():
        fields = line.split()
        if fields[1:4] in wanted:
            return int(fields[7])
    return None


def _in_hex(host: str, port: int, before: bytes) -> str:
    """An address as in those tables: each four bytes of the host as a number of this machine, and the port."""
    data = before + socket.inet_aton(host)
    words = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
