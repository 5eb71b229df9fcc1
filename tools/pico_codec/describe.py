"""What a .pico file holds, for people and as JSON. Never imports torch: headers and checksums need none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pico_core import PicoFile, registry

_COLOURS = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}
_LINE = "  {:<10}{}"


def describe(path: Path) -> dict[str, Any]:
    """Describe a file in plain types, as `info --json` prints them. Raises FormatError, OSError."""
    with PicoFile(path) as file:
        container = file.container
        tiles = Counter(container.read_tile(i).coder.name.lower() for i in range(container.tile_count))
        return {
            "file": str(path),
            "bytes": path.stat().st_size,
            "trailing_bytes": file.trailing_bytes,
            "width": file.width,
            "height": file.height,
            "channels": file.channels,
            "quality": file.quality,
            "level": file.level,
            "model": file.model_id,
            "model_installed": file.model_id is None or _is_installed(file.model_id),
            "tiles": dict(sorted(tiles.items())),
            "preview_bytes": len(file.preview or b""),
            "exif_bytes": len(file.metadata.exif or b""),
            "xmp_bytes": len(file.metadata.xmp or b""),
            "icc_bytes": len(file.metadata.icc or b""),
            "extras": [
                {"name": extra.name, "type": extra.content_type, "bytes": len(extra.data)}
                for extra in file.metadata.extras
            ],
        }


def as_text(facts: dict[str, Any]) -> str:
    """The facts of `describe` as a few readable lines."""
    pixels = facts["width"] * facts["height"]
    lines = [
        facts["file"],
        _LINE.format("picture", f"{facts['width']} x {facts['height']}, {_COLOURS[facts['channels']]}"),
        _LINE.format("size", f"{facts['bytes']:,} bytes, {8 * facts['bytes'] / pixels:.3f} bits a pixel"),
        _LINE.format("coding", _coding(facts)),
        _LINE.format(
            "tiles", ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in facts["tiles"].items())
        ),
        _LINE.format("metadata", _carried(facts)),
    ]
    return "\n".join(lines)


def _is_installed(model: str) -> bool:
    return any((folder / f"{model}.safetensors").is_file() for folder in registry.folders())


def _coding(facts: dict[str, Any]) -> str:
    if facts["model"] is None and set(facts["tiles"]) == {"webp_lossless"}:
        return "lossless"
    quality = "" if facts["quality"] is None else f"quality {facts['quality']}, "
    if facts["model"] is None:
        return f"{quality}level {facts['level']:.4g}, no tile needs weights"
    missing = "" if facts["model_installed"] else " (not installed here: install the version that has it)"
    return f"{quality}level {facts['level']:.4g}, weights {facts['model']}{missing}"


def _carried(facts: dict[str, Any]) -> str:
    names = {"exif_bytes": "EXIF", "xmp_bytes": "XMP", "icc_bytes": "ICC profile", "preview_bytes": "preview"}
    parts = [f"{name} {facts[key]:,} bytes" for key, name in names.items() if facts[key]]
    parts += [f"{extra['name']} {extra['bytes']:,} bytes" for extra in facts["extras"]]
    return ", ".join(parts) or "none"
