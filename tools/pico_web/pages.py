"""Puts pages together: pico.html with everything inside, and the files of an album and of the package for npm."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pico_core import registry
from pico_core.errors import UnknownModelError
from pico_web import bundling, compiling
from pico_web.errors import DecoderMissingError

HERE = Path(__file__).resolve().parent
SCRIPT, STYLE = "pico-image.js", "pico-page.css"

# Nothing from elsewhere, no markup from metadata, no connection but to the page's own host.
_POLICY = (
    "default-src 'none'; script-src {script} 'wasm-unsafe-eval' blob:; worker-src blob:; style-src {style}; "
    "img-src blob: data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
)


class Listed(NamedTuple):
    """A picture of an album: its name, its address from the page, and the bytes of its file."""

    name: str
    path: str
    bytes: int


def wasm() -> bytes:
    """The engine as WebAssembly. Raises DecoderMissingError where this installation was built without it."""
    path = HERE / compiling.WASM
    if not path.is_file():
        msg = (
            f"this installation lacks the decoder for browsers ({path}); "
            "`pip install ziglang` and `python -m pico_web.build` in a copy of the sources make it"
        )
        raise DecoderMissingError(msg)
    return path.read_bytes()


def packed(content: bytes) -> str:
    """Bytes as a page takes them: gzip, in base64. The same bytes always give the same text."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def weights(model_id: bytes | None = None) -> tuple[str, bytes]:
    """Id in hexadecimal, and the weights file; None stands for the weights that encode. Raises UnknownModelError."""
    name = (registry.default_id() if model_id is None else model_id).hex()
    for folder in registry.folders():
        if (path := folder / f"{name}.safetensors").is_file():
            return name, path.read_bytes()
    msg = f"the weights {name} are not installed; set PICO_WEIGHTS to a folder that holds them"
    raise UnknownModelError(msg)


def modules() -> dict[str, str]:
    """The decoder's JavaScript modules by name."""
    return {path.stem: path.read_text("utf-8") for path in sorted((HERE / "js").glob("*.js"))}


def script() -> str:
    """All of the decoder and the gallery as one script, WebAssembly inside, weights not."""
    code = bundling.bundle(modules() | {"wasm": f'export const WASM = "{packed(wasm())}";\n'}, "page")
    assert "</script" not in code, "it would end the element that holds it"
    return code


def style() -> str:
    """The style of the gallery: that of `pico-library view`, and what these pages have beyond it."""
    return "".join((HERE / name).read_text("utf-8") for name in ("gallery.css", "page.css"))


def whole_page(model_ids: Sequence[bytes | None] = (None,)) -> str:
    """pico.html: everything inside, these weights too."""
    code, look = script(), style()
    data = [
        f'<script type="text/plain" id="pico-weights-{name}">{packed(content)}</script>'
        for name, content in map(weights, model_ids)
    ]
    return _page(
        "Pico photos",
        _POLICY.format(script=_hash(code), style=_hash(look), connect="'none'"),
        f"<style>{look}</style>",
        [*data, f"<script>{code}</script>"],
    )


def album_page(title: str, pictures: Sequence[Listed], folder: str) -> str:
    """index.html of an album, whose decoder lies in `folder`."""
    listing = json.dumps({"title": title, "pictures": [entry._asdict() for entry in pictures]})
    listing = listing.replace("<", "\\u003c")  # or a file name could end the element
    policy = _POLICY.format(script="'self' file:", style="'self' file:", connect="'self'")
    return _page(
        title,
        policy,
        f'<link rel="stylesheet" href="{folder}/{STYLE}">',
        [
            f'<script type="application/json" id="pico-album">{listing}</script>',
            f'<script src="{folder}/{SCRIPT}"></script>',
        ],
    )


def asset_script(name: str, content: bytes) -> str:
    """A script that brings bytes to a page beside it; a page on a disk may read nothing else."""
    return f"picoAsset({json.dumps(name)}, {json.dumps(packed(content))});\n"


def decoder_files(model_ids: Sequence[bytes]) -> Mapping[str, str]:
    """The files of the decoder folder of an album by name: script, style, and these weights."""
    found = {SCRIPT: script(), STYLE: style()}
    for name, content in map(weights, model_ids):
        found[f"weights-{name}.js"] = asset_script(f"weights-{name}", content)
    return found


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _page(title: str, policy: str, look: str, data: Sequence[str]) -> str:
    page = (HERE / "page.html").read_text("utf-8")
    values = {"policy": policy, "title": html.escape(title), "style": look, "data": "\n".join(data)}
    before, *rest = page.split("{")
    parts = [before]
    for piece in rest:
        name, after = piece.split("}", 1)
        parts += [values[name], after]
    return "".join(parts)
