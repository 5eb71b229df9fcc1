"""The cache of results: a file of JSON lines, one number in each, and the coded files that they were measured on."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = "results.jsonl"
FILES = "files"


class Store:
    """Numbers and files in a folder, found again by the hash of everything that they depend on.

    A line that was cut off when a run was stopped is passed over; `unreadable` counts them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / FILES).mkdir(parents=True, exist_ok=True)
        self._values: dict[str, float] = {}
        self.unreadable = 0
        self._load()

    def _load(self) -> None:
        path = self.folder / RESULTS
        if not path.exists():
            return
        content = path.read_bytes()
        for line in content.splitlines():
            try:
                record = json.loads(line)
                self._values[record["key"]] = float(record["value"])
            except (ValueError, KeyError, TypeError):
                self.unreadable += 1
        if content and not content.endswith(b"\n"):
            with path.open("ab") as stream:
                stream.write(b"\n")

    def __len__(self) -> int:
        return len(self._values)

    def get(self, facts: Mapping[str, Any]) -> float | None:
        """The number measured under these facts, if it was."""
        return self._values.get(hash_of(facts))

    def put(self, facts: Mapping[str, Any], value: float, notes: Mapping[str, Any]) -> None:
        """Remember a number; `notes` are written beside it for people and do not count."""
        key = hash_of(facts)
        self._values[key] = value
        line = json.dumps({"key": key, **notes, **facts, "value": json_number(value)}) + "\n"
        with (self.folder / RESULTS).open("ab") as stream:
            stream.write(line.encode())

    def read_file(self, facts: Mapping[str, Any]) -> bytes | None:
        """The coded file made under these facts, if it was kept."""
        path = self._path(facts)
        return path.read_bytes() if path.exists() else None

    def write_file(self, facts: Mapping[str, Any], content: bytes) -> None:
        """Keep a coded file; it appears whole or not at all."""
        path = self._path(facts)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_bytes(content)
        partial.replace(path)

    def _path(self, facts: Mapping[str, Any]) -> Path:
        return self.folder / FILES / hash_of(facts)[:32]


def json_number(value: float) -> float | str:
    """The number, or its name where JSON has none: "inf", "nan"; `float` reads both."""
    return value if math.isfinite(value) else str(value)


def hash_of(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts that JSON can hold, in whatever order they come."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
