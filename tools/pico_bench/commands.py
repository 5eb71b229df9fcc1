"""Codecs that are commands: any encoder through a template, and VVC through vvencapp and vvdecapp."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pico_bench.codecs import CodecFailedError, FileCodec, decode_with_pillow
from pico_bench.originals import Original, read_rgb
from pico_core.errors import OptionError, PicoError
from pico_metrics.pictures import Pixels

SECONDS = 600  # that one call of a command may take


@dataclass(frozen=True)
class CommandCodec(FileCodec):
    """An encoder given as a command line with {input}, {output} and {quality}, run without a shell.

    `decode_command`, with {input} and {output}, turns the file into a PNG; without it Pillow reads the file.
    """

    name: str
    encode_command: str
    ladder: tuple[str, ...]
    extension: str
    input_extension: str = ".png"
    decode_command: str | None = None

    def missing(self) -> str | None:
        """Why this codec cannot run here, in one line; None if it can."""
        for template in filter(None, (self.encode_command, self.decode_command)):
            program = shlex.split(template)[0]
            if shutil.which(program) is None:
                return f"{self.name} left out: there is no program {program} on the PATH"
        return None

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """The command lines, and hashes of the programs they start and of the files they name, such as scripts."""
        templates = [t for t in (self.encode_command, self.decode_command) if t is not None]
        programs = {f"program {i}": _hash_of_command(template) for i, template in enumerate(templates)}
        commands = {f"command {i}": template for i, template in enumerate(templates)}
        kinds = {"fed": self.input_extension, "extension": self.extension}
        return {"codec": self.name, "quality": quality, **kinds, **commands, **programs}

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """Run the encoder. Raises CodecFailedError with what it said last."""
        with tempfile.TemporaryDirectory(prefix="pico-bench-") as folder:
            source = Path(folder, f"input{self.input_extension}")
            target = Path(folder, f"coded{self.extension}")
            Image.fromarray(pixels).save(source)
            run(self.name, self.encode_command, input=source, output=target, quality=quality)
            return _read(self.name, target)

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """Run the decoder, or let Pillow read the file. Raises CodecFailedError."""
        if self.decode_command is None:
            return decode_with_pillow(content, self.name)
        with tempfile.TemporaryDirectory(prefix="pico-bench-") as folder:
            source, target = Path(folder, f"coded{self.extension}"), Path(folder, "decoded.png")
            source.write_bytes(content)
            run(self.name, self.decode_command, input=source, output=target)
            _read(self.name, target)
            try:
                return read_rgb(target)
            except PicoError as error:
                msg = f"{self.name} decoded to something that cannot be used: {error}"
                raise CodecFailedError(msg) from error


def read_commands(path: Path) -> list[CommandCodec]:
    """The codecs that a TOML file describes, one table for each; docs/benchmarks.md has an example.

    Raises OptionError for a file that is no TOML, or a table with missing, unknown or senseless entries.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path} cannot be read as TOML: {error}; correct it or name another file"
        raise OptionError(msg) from error
    return [_command(path, name, table) for name, table in tables.items()]


def _command(path: Path, name: str, table: object) -> CommandCodec:
    known = {"encode", "decode", "extension", "input", "qualities"}
    if not isinstance(table, dict) or not {"encode", "extension", "qualities"} <= set(table) <= known:
        msg = f"{path}: [{name}] needs encode, extension and qualities, and may have decode and input"
        raise OptionError(msg)
    for key, wanted in (
        ("encode", ("{input}", "{output}", "{quality}")),
        ("decode", ("{input}", "{output}")),
    ):
        absent = [part for part in wanted if key in table and part not in str(table[key])]
        if absent:
            msg = f"{path}: {key} of [{name}] has no {' and no '.join(absent)}"
            raise OptionError(msg)
        _check_words(path, name, key, str(table.get(key, "x")))
    fed = str(table.get("input", ".png"))
    if Image.registered_extensions().get(fed.lower()) not in Image.SAVE:
        msg = f"{path}: input of [{name}]: Pillow writes no {fed}; .png, .ppm and .bmp will do"
        raise OptionError(msg)
    return CommandCodec(
        name=name,
        encode_command=str(table["encode"]),
        ladder=_ladder(path, name, table["qualities"]),
        extension=str(table["extension"]),
        input_extension=fed,
        decode_command=None if "decode" not in table else str(table["decode"]),
    )


def _check_words(path: Path, name: str, key: str, template: str) -> None:
    try:
        words = shlex.split(template)
    except ValueError as error:
        msg = f"{path}: {key} of [{name}] cannot be split into words: {error}"
        raise OptionError(msg) from error
    if "{" in words[0]:
        msg = f"{path}: {key} of [{name}] must begin with a program"
        raise OptionError(msg)


def _ladder(path: Path, name: str, listed: object) -> tuple[str, ...]:
    ladder = tuple(str(quality) for quality in listed) if isinstance(listed, list) else ()
    if not ladder or len(set(ladder)) < len(ladder):
        msg = f"{path}: qualities of [{name}] must be a list of different qualities, such as [20, 40, 60]"
        raise OptionError(msg)
    return ladder


def run(name: str, template: str, **values: object) -> None:
    """Run a command line whose {placeholders} are filled in, word by word. Raises CodecFailedError."""
    words = shlex.split(template)
    for key, value in values.items():
        words = [word.replace(f"{{{key}}}", str(value)) for word in words]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{name}: {words[0]} could not be run: {error}"
        raise CodecFailedError(msg) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        msg = f"{name}: {words[0]} failed with exit code {done.returncode} and said: {said}"
        raise CodecFailedError(msg)


def _read(name: str, path: Path) -> bytes:
    if not path.is_file() or not path.stat().st_size:
        msg = f"{name}: the command succeeded but wrote no file; check its {{output}}"
        raise CodecFailedError(msg)
    return path.read_bytes()


def _hash_of_command(template: str) -> str:
    program, *words = shlex.split(template)
    named = [Path(word) for word in words if Path(word).is_file()]
    return "-".join([hash_of_program(program), *(hash_of_file(path) for path in named)])


def hash_of_file(path: Path) -> str:
    """Short hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def hash_of_program(program: str) -> str:
    """Short hash of the executable that a command name stands for."""
    found = shutil.which(program)
    return hash_of_file(Path(found)) if found else "missing"


class VvcCodec(FileCodec):
    """H.266/VVC as a still picture: 10 bits, 4:2:0, BT.709 in full range; quality is the quantiser, falling.

    The rate is that of the bare bitstream, which flatters VVC by the bytes of a container.
    """

    name = "VVC"
    programs = ("vvencapp", "vvdecapp")
    _ENCODE = (
        "vvencapp --input {input} --output {output} --size {size} --format yuv420_10 --internal-bitdepth 10 "
        "--frames 1 --framerate 1 --qp {quality} --preset slow --qpa 0 --threads 2 --verbosity 1"
    )
    _DECODE = "vvdecapp --bitstream {input} --output {output} --threads 2 --verbosity 1"

    def __init__(self, ladder: tuple[str, ...] = ("42", "38", "34", "30", "26", "22")) -> None:
        self.ladder = ladder

    def missing(self) -> str | None:
        """Why this codec cannot run here, in one line; None if it can."""
        absent = [program for program in self.programs if shutil.which(program) is None]
        return f"VVC left out: {' and '.join(absent)} not found on the PATH" if absent else None

    def identity(self, original: Original, quality: str) -> Mapping[str, str]:
        """The options and hashes of both programs."""
        hashes = {program: hash_of_program(program) for program in self.programs}
        return {"codec": self.name, "quality": quality, "options": self._ENCODE, **hashes}

    def encode(self, pixels: Pixels, quality: str) -> bytes:
        """Run vvencapp on planes padded to even sides. Raises CodecFailedError."""
        with tempfile.TemporaryDirectory(prefix="pico-bench-") as folder:
            source, target = Path(folder, "input.yuv"), Path(folder, "coded.vvc")
            planes = to_planes(pixels)
            source.write_bytes(b"".join(plane.astype("<u2").tobytes() for plane in planes))
            size = f"{planes[0].shape[1]}x{planes[0].shape[0]}"
            run(self.name, self._ENCODE, input=source, output=target, size=size, quality=quality)
            return _read(self.name, target)

    def decode(self, content: bytes, shape: tuple[int, ...]) -> Pixels:
        """Run vvdecapp and cut the padding off. Raises CodecFailedError."""
        with tempfile.TemporaryDirectory(prefix="pico-bench-") as folder:
            source, target = Path(folder, "coded.vvc"), Path(folder, "decoded.yuv")
            source.write_bytes(content)
            run(self.name, self._DECODE, input=source, output=target)
            samples = np.frombuffer(_read(self.name, target), "<u2")
        height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        if samples.size != height * width * 3 // 2:
            msg = f"{self.name}: vvdecapp wrote {samples.size} samples for {width}x{height} pixels"
            raise CodecFailedError(msg)
        luma, blue, red = np.split(samples, [height * width, height * width * 5 // 4])
        half = (height // 2, width // 2)
        return from_planes((luma.reshape(height, width), blue.reshape(half), red.reshape(half)))[
            : shape[0], : shape[1]
        ]


_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722  # BT.709
Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def to_planes(pixels: Pixels) -> Planes:
    """RGB as Y, Cb, Cr of 10 bits in full range, chroma averaged over 2x2 pixels, sides padded to even."""
    even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
    red, green, blue = (even[..., channel] / 255.0 for channel in range(3))
    luma = _RED * red + _GREEN * green + _BLUE * blue
    chroma = ((blue - luma) / (2 - 2 * _BLUE), (red - luma) / (2 - 2 * _RED))
    halves = [plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean((1, 3)) for plane in chroma]
    codes = [luma * 1023, *(half * 1023 + 512 for half in halves)]
    y, cb, cr = (np.clip(np.round(plane), 0, 1023) for plane in codes)
    return y, cb, cr


def from_planes(planes: Planes) -> Pixels:
    """RGB of Y, Cb, Cr of 10 bits in full range; chroma is enlarged bilinearly, samples centred."""
    luma = planes[0] / 1023.0
    size = (luma.shape[1], luma.shape[0])
    chroma = (Image.fromarray(((plane - 512.0) / 1023.0).astype(np.float32)) for plane in planes[1:])
    blue_part, red_part = (np.asarray(half.resize(size, Image.Resampling.BILINEAR)) for half in chroma)
    red = luma + (2 - 2 * _RED) * red_part
    blue = luma + (2 - 2 * _BLUE) * blue_part
    green = (luma - _RED * red - _BLUE * blue) / _GREEN
    return np.clip(np.round(255 * np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)
