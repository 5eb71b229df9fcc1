"""Finds text and faces in a pack's pictures, once, with off-the-shelf detectors.

Text: PP-OCR's detector (PaddleOCR, Apache-2.0), as the package `rapidocr-onnxruntime` ships it. On photographs it also
outlines faces, stars and fences; so only what PP-OCR's recogniser can read counts as text. Faces: MTCNN, as
`pico_metrics.faces` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pico_core.errors import OptionError

from .outlines import Outline, read_outlines, write_outlines
from .packs import Pack

LEAST_CONFIDENCE = 0.6  # of the recogniser in what it reads
LEAST_CHARACTERS = 2
_SAVE_EVERY = 200  # pictures

Detector = Callable[[NDArray[np.uint8]], list[Outline]]  # from RGB (height, width, 3)


def find_in_pack(folder: Path, kind: str, threads: int = 1, restart: bool = False) -> tuple[int, int]:
    """Look for text or faces in every picture of a pack, and cache the outlines beside it.

    Returns how many pictures there are and in how many of them something was found. A stopped call goes on where it
    was. Raises OptionError if the detector is not installed, PackError, OutlinesError.
    """
    detect = _text_detector(threads) if kind == "text" else _face_detector(threads)
    pack = Pack(folder)
    known = {} if restart else read_outlines(folder, kind) or {}
    outlines = {
        photo.entry.name: known[photo.entry.name] for photo in pack.photos if photo.entry.name in known
    }
    missing = [photo for photo in pack.photos if photo.entry.name not in outlines]
    for count, photo in enumerate(tqdm(missing, desc=f"looking for {kind}", unit="picture"), 1):
        outlines[photo.entry.name] = detect(photo.pixels())
        if count % _SAVE_EVERY == 0:
            write_outlines(folder, kind, outlines)
    write_outlines(folder, kind, outlines)
    return len(outlines), sum(bool(found) for found in outlines.values())


def _text_detector(threads: int) -> Detector:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        msg = f"text masks need a text detector ({error}); install it with: pip install 'pillow-pico[text]'"
        raise OptionError(msg) from error
    engine = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1, text_score=LEAST_CONFIDENCE)

    def detect(pixels: NDArray[np.uint8]) -> list[Outline]:
        found, _ = engine(np.ascontiguousarray(pixels[..., ::-1]), use_det=True, use_cls=False, use_rec=True)
        read = [box for box, text, _ in found or [] if len(text.strip()) >= LEAST_CHARACTERS]
        return [_rounded(box) for box in read]

    return detect


def _face_detector(threads: int) -> Detector:
    import torch

    from pico_metrics.faces import find_faces

    torch.set_num_threads(threads)
    return lambda pixels: [_rounded(face.outline()) for face in find_faces(np.ascontiguousarray(pixels))]


def _rounded(corners: object) -> Outline:
    return [[round(float(x), 1), round(float(y), 1)] for x, y in corners]  # type: ignore[attr-defined]
