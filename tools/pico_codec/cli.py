"""Command `pico-codec`: encode, decode, info and verify, for single files."""

from __future__ import annotations

import argparse
import json
import struct
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from pico_codec.convert import decode_file, encode_file
from pico_codec.describe import as_text, describe
from pico_codec.files import OutputError
from pico_codec.program import FAILED, FINE, USAGE, Program
from pico_codec.source import FILE_ERRORS
from pico_core import PicoFile
from pico_core.errors import NotPicoError, OptionError, TrailingDataError, TruncatedError, UnknownModelError

_EXIT_CODES = """exit codes:
  0    every file is fine
  1    a file failed; standard error says which, why, and what to do
  2    the command line is wrong; nothing was done
  130  stopped by Ctrl-C; no file is half-written
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on sloppy EXIF are no help here
        return _program().main(argv)


def trailing_note(count: int) -> str:
    """What to say of bytes that follow the end of a picture that was read."""
    return (
        f"note: {count:,} {'byte follows' if count == 1 else 'bytes follow'} the end of the picture; not read"
    )


def explain(error: BaseException) -> str:
    """Put an error into one line: what is wrong and, where it is known, what to do."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    if isinstance(error, MemoryError):
        return "not enough memory for a picture of this size; close other programs"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, (KeyError, IndexError, EOFError, TypeError, OverflowError, struct.error)):
        return f"the file is damaged ({type(error).__name__}: {text}); restore it from a copy"
    if isinstance(error, OSError | SyntaxError):
        return f"{text}; the file is damaged, restore it from a copy"
    if not isinstance(error, FILE_ERRORS):
        return f"unexpected {type(error).__name__}: {text}; please report this, with the file if you can"
    hints: dict[type[BaseException], str] = {
        NotPicoError: "only .pico files can be read here",
        TruncatedError: "fetch the file again from where it came",
        TrailingDataError: "the picture can be read; to be rid of them, fetch the file again from where it came",
        UnknownModelError: "install the version of pillow-pico that wrote it",
        OptionError: "choose another value",
    }
    for kind, hint in hints.items():
        if isinstance(error, kind) and "; " not in text:
            return f"{text}; {hint}"
    return text


def _program() -> Program:
    about = "Encode pictures as .pico files, decode them, and inspect them."
    program = Program("pico-codec", about, _EXIT_CODES)
    _add_encode(program)
    _add_decode(program)
    _add_info(program)
    _add_verify(program)
    return program


def _add_encode(program: Program) -> None:
    command = program.command("encode", "encode a picture as a .pico file", _encode)
    command.add_argument("input", metavar="IN", type=Path, help="any picture that Pillow reads")
    command.add_argument("output", metavar="OUT", type=Path, help="the .pico file to write")
    rate = command.add_mutually_exclusive_group()
    rate.add_argument("--quality", type=_whole(0, 100), metavar="N", help="0 to 100 (default 60)")
    rate.add_argument("--level", type=float, metavar="X", help="a finer scale than quality, from 0")
    rate.add_argument(
        "--target-bytes", type=_whole(1), metavar="N", help="the best quality whose file has at most N bytes"
    )
    rate.add_argument("--lossless", action="store_true", help="keep every pixel exactly")
    command.add_argument(
        "--effort",
        type=_whole(0, 2),
        default=1,
        metavar="N",
        help="0: networks only; 1: also lossless and AVIF for graphics (default); 2: lossless wherever it is smaller",
    )
    command.add_argument("--no-preview", action="store_true", help="do not embed a JPEG preview")
    _add_engine(command)
    _add_force(command)


def _add_decode(program: Program) -> None:
    command = program.command(
        "decode", "decode a .pico file; the extension of OUT chooses the format", _decode
    )
    command.add_argument("input", metavar="IN", type=Path, help="a .pico file")
    command.add_argument(
        "output", metavar="OUT", type=Path, help="the picture to write, for example x.png or x.jpg"
    )
    command.add_argument("--region", type=_region, metavar="L,T,R,B", help="decode only these pixels")
    _add_engine(command)
    _add_force(command)


def _add_info(program: Program) -> None:
    command = program.command("info", "show what .pico files contain", _info)
    command.add_argument("files", metavar="FILE", type=Path, nargs="+")
    command.add_argument("--json", action="store_true", help="print a JSON array, one object for each file")


def _add_verify(program: Program) -> None:
    command = program.command("verify", "check every checksum of .pico files", _verify)
    command.add_argument("files", metavar="FILE", type=Path, nargs="+")


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine",
        choices=("auto", "native", "numpy", "torch"),
        help="what runs the networks (default: what PICO_ENGINE says, else the native engine)",
    )


def _add_force(command: argparse.ArgumentParser) -> None:
    command.add_argument("--force", action="store_true", help="replace OUT if it exists")


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            msg = f"{value} is not {f'at least {low}' if high is None else f'from {low} to {high}'}"
            raise argparse.ArgumentTypeError(msg)
        return value

    parse.__name__ = "whole number"
    return parse


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{text!r} is not four whole numbers LEFT,TOP,RIGHT,BOTTOM"
        raise argparse.ArgumentTypeError(msg) from error
    return left, top, right, bottom


def _encode(arguments: argparse.Namespace) -> int:
    options = {
        name: value
        for name in ("quality", "level", "target_bytes", "lossless", "effort", "engine")
        if (value := getattr(arguments, name)) is not None
    }
    options["preview"] = not arguments.no_preview
    try:
        result = encode_file(arguments.input, arguments.output, options, overwrite=arguments.force)
    except FILE_ERRORS as error:
        return _report(arguments, error)
    if result.left_behind:
        _complain(arguments.input, f"note: {result.left_behind} did not go into the .pico file")
    rate = 8 * result.after / result.pixels
    # A pipe has no size to compare with.
    share = f", {100 * result.after / result.before:.1f} % of the source" if result.before else ""
    print(f"{arguments.output}: {result.after:,} bytes, {rate:.3f} bits a pixel{share}")
    return FINE


def _decode(arguments: argparse.Namespace) -> int:
    try:
        decoded = decode_file(
            arguments.input,
            arguments.output,
            region=arguments.region,
            engine=arguments.engine,
            overwrite=arguments.force,
        )
    except FILE_ERRORS as error:
        return _report(arguments, error)
    if decoded.trailing:
        _complain(arguments.input, trailing_note(decoded.trailing))
    if decoded.lost:
        _complain(arguments.output, f"note: this format cannot carry {', '.join(decoded.lost)}")
    return FINE


def _info(arguments: argparse.Namespace) -> int:
    found = []
    for path in arguments.files:
        try:
            found.append(describe(path))
            if trailing := found[-1]["trailing_bytes"]:
                _complain(path, trailing_note(trailing))
        except FILE_ERRORS as error:
            _complain(path, explain(error))
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif found:
        print("\n".join(map(as_text, found)))
    return FINE if len(found) == len(arguments.files) else FAILED


def _verify(arguments: argparse.Namespace) -> int:
    damaged = 0
    for path in arguments.files:
        try:
            with PicoFile(path) as file:
                file.verify()
        except FILE_ERRORS as error:
            damaged += 1
            _complain(path, explain(error))
        else:
            print(f"{path}: fine")
    return FAILED if damaged else FINE


def _report(arguments: argparse.Namespace, error: BaseException) -> int:
    _complain(arguments.output if isinstance(error, OutputError) else arguments.input, explain(error))
    return USAGE if isinstance(error, OptionError) else FAILED


def _complain(path: Path, what: str) -> None:
    print(f"pico-codec: {path}: {what}", file=sys.stderr)
