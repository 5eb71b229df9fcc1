"""The Pillow plug-in: after `import pillow_pico`, `Image.open` and `Image.save` handle .pico files.

Nothing here decodes or encodes: that is `pico_core`, of which only the reader of headers is imported at once.
"""

from __future__ import annotations

from PIL import Image

from pillow_pico._reading import PicoImageFile, accepts
from pillow_pico._writing import save, save_all, to_bytes

__all__ = ["PicoImageFile", "to_bytes"]

Image.register_open(PicoImageFile.format, PicoImageFile, accepts)
Image.register_save(PicoImageFile.format, save)
Image.register_save_all(PicoImageFile.format, save_all)
Image.register_extension(PicoImageFile.format, ".pico")
Image.register_mime(PicoImageFile.format, "image/x-pico")
