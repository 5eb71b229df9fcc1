"""Reading a weights file: named arrays in the safetensors format, and what describes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import WeightsError

FORMAT = "pico-weights-2"
_TYPES = {"I8": np.int8, "I16": np.int16, "U16": np.uint16, "I32": np.int32, "F32": np.float32}
_LENGTH_BYTES = 8


def parse(content: bytes, name: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays by name, and the description. Raises WeightsError if the bytes are no weights file.

    https://github.com/huggingface/safetensors: the length of a JSON header, the header, the arrays' bytes.
    """
    try:
        end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(content[_LENGTH_BYTES:end])
        description = json.loads(header.pop("__metadata__")["pico"])
        if description.get("format") != FORMAT:
            msg = (
                f"{name} holds weights of format {description.get('format')!r}; this version reads {FORMAT!r}"
            )
            raise WeightsError(msg)
        arrays = {key: _array(content, end, entry) for key, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{name} is not a weights file of this format: {error}; reinstall it"
        raise WeightsError(msg) from error
    return arrays, description


def _array(content: bytes, start: int, entry: dict[str, Any]) -> NDArray[Any]:
    first, last = entry["data_offsets"]
    kind = np.dtype(_TYPES[entry["dtype"]]).newbyteorder("<")
    flat = np.frombuffer(content[start + first : start + last], kind)
    return flat.reshape(entry["shape"]).astype(kind.newbyteorder("="), copy=False)


def serialise(arrays: dict[str, NDArray[Any]], description: dict[str, Any]) -> bytes:
    """The bytes of a weights file."""
    names = {np.dtype(kind): name for name, kind in _TYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"pico": json.dumps(description, sort_keys=True)}}
    parts, place = [], 0
    for name in sorted(arrays, key=lambda key: (-arrays[key].itemsize, key)):  # so that all are aligned
        array = np.ascontiguousarray(arrays[name])
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(data)],
        }
        parts.append(data)
        place += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + b"".join(parts)
