"""Command `pico-bench`: codecs side by side, as numbers, plots, crops and one HTML report."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pico_bench import arguments as kinds
from pico_bench import crops, curves, evidence, plots, rd, report, speed, tables, text_pages
from pico_bench.codecs import PICO, PILLOW_CODECS, Codec, PicoCodec
from pico_bench.commands import VvcCodec, read_commands
from pico_bench.curves import Curve
from pico_bench.mozjpeg import MozjpegCodec
from pico_bench.originals import Original, find_originals
from pico_bench.reconstructions import Reconstructions
from pico_bench.store import Store
from pico_bench.text_source import TextSource
from pico_codec.program import FAILED, FINE, INTERRUPTED, Program, say
from pico_core.errors import OptionError, PicoError
from pico_metrics.catalogue import EVERY_METRIC, TEXT_METRICS

OUTPUT = Path("runs/bench")
CODECS = ("pico", *PILLOW_CODECS, "mozjpeg", "vvc")
QUALITIES = {"jpeg": (1, 100), "mozjpeg": (1, 100), "vvc": (0, 63)}  # and 0 to 100 for the others
ANCHORS = ("AVIF", "HEIC", "WebP", "JPEG")
REPORT = "report.html"

_say = partial(say, "pico-bench")

_EXIT_CODES = """exit codes:
  0    everything was measured
  1    something failed; standard error says what; the rest was measured
  2    the command line is wrong; nothing was done
  130  stopped by Ctrl-C; what was measured is kept, and the next run goes on from there
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    if given[:1] == ["speed"]:
        return _speed(given[1:])
    return _program().main(given)


def _speed(arguments: Sequence[str]) -> int:
    """Run the measurement in a small process: the peaks of its children count from its own memory."""
    with subprocess.Popen([sys.executable, "-m", "pico_bench.speed", *arguments]) as measurement:
        try:
            return measurement.wait()
        except KeyboardInterrupt:
            try:  # Ctrl-C reaches the measurement as well, a signal to this process alone does not
                measurement.wait(timeout=2)
            except subprocess.TimeoutExpired:
                interrupt = signal.SIGTERM if sys.platform == "win32" else signal.SIGINT
                measurement.send_signal(interrupt)
                measurement.wait()
            return INTERRUPTED


def _program() -> Program:
    about = "Compare picture codecs: rate and distortion, crops, time and memory."
    program = Program("pico-bench", about, _EXIT_CODES)
    _add_rd(program)
    _add_crops(program)
    # Measured by a program of its own, which main() starts; here for the list.
    program.command("speed", "measure time and memory on one large picture", lambda _: FINE)
    _add_report(program)
    _add_text_pages(program)
    _add_web(program)
    return program


def _add_rd(program: Program) -> None:
    command = program.command("rd", "measure rate and distortion on a folder of pictures", _rd)
    _add_pictures_and_codecs(command)
    command.add_argument(
        "--metrics",
        nargs="+",
        choices=tuple(EVERY_METRIC),
        metavar="METRIC",
        help=f"which metrics (default: all): {', '.join(EVERY_METRIC)}",
    )
    command.add_argument(
        "--text-truth",
        type=Path,
        metavar="FILE",
        help="JSON file with the text in the pictures (default: what the recogniser reads in the originals)",
    )
    _add_anchor(command)


def _add_crops(program: Program) -> None:
    command = program.command("crops", "show parts of pictures side by side at equal bytes", _crops)
    _add_pictures_and_codecs(command)
    size = command.add_mutually_exclusive_group()
    size.add_argument(
        "--quality",
        type=kinds.quality,
        default="40",
        metavar="N",
        help="every codec may use the bytes of a .pico file of this quality (default 40)",
    )
    size.add_argument(
        "--bpp", type=kinds.rate, metavar="X", help="every codec may use this many bits per pixel"
    )
    command.add_argument(
        "--box",
        type=kinds.box,
        metavar="L,T,R,B",
        help="the part to show (default: where the first codec is worst)",
    )
    command.add_argument("--side", type=int, default=256, help="size of that part in pixels (default 256)")
    command.add_argument("--zoom", type=int, default=2, choices=(1, 2, 3, 4), help="enlargement (default 2)")
    command.add_argument(
        "--columns", type=kinds.whole(1), default=4, metavar="N", help="crops in a row, at most (default 4)"
    )


def _add_report(program: Program) -> None:
    command = program.command("report", "write one HTML page of the last rd run and its crops", _report)
    command.add_argument(
        "--out", type=Path, default=OUTPUT, metavar="FOLDER", help=f"the folder of the run (default {OUTPUT})"
    )
    command.add_argument(
        "--speed", type=Path, metavar="FILE", help="a file with the output of `pico-bench speed --json`"
    )
    command.add_argument(
        "--markdown",
        type=Path,
        metavar="PAGE",
        help="also rewrite the section of this run in a Markdown page",
    )
    command.add_argument(
        "--section", metavar="NAME", help="name of that section (default: the name of the run's folder)"
    )
    _add_anchor(command)


def _add_text_pages(program: Program) -> None:
    command = program.command(
        "text-pages",
        "draw pictures of text with known words, for rd to measure",
        _text_pages,
    )
    command.add_argument("folder", metavar="FOLDER", type=Path, help="folder for the pictures and truth.json")
    command.add_argument(
        "--count", type=kinds.whole(1), default=14, metavar="N", help="number of pictures (default 14)"
    )
    command.add_argument(
        "--seed",
        type=kinds.whole(0),
        default=0,
        metavar="N",
        help="another seed gives other words (default 0)",
    )


def _add_web(program: Program) -> None:
    command = program.command("web", "time and memory in a web browser, beside AVIF and JPEG", _web)
    command.add_argument(
        "--megapixels",
        type=float,
        nargs="+",
        default=[2.0, 12.0],
        metavar="M",
        help="sizes of the picture (2 12)",
    )
    command.add_argument("--repeats", type=kinds.whole(1), default=3, metavar="N", help="pages for each (3)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _web(arguments: argparse.Namespace) -> int:
    from pico_bench import web

    rows = web.measure(arguments.megapixels, arguments.repeats)
    print(json.dumps(rows, indent=2) if arguments.json else web.as_text(rows))
    return FINE


def _add_pictures_and_codecs(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", metavar="FOLDER", type=Path, help="folder of original pictures")
    command.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only pictures of these names")
    command.add_argument(
        "--codec",
        action="append",
        metavar="NAME[:Q,Q,...]",
        help=f"a codec, and its qualities; may be repeated (default: all that work here): {', '.join(CODECS)}",
    )
    command.add_argument(
        "--commands", type=Path, metavar="FILE", help="TOML file that describes codecs by their command lines"
    )
    command.add_argument(
        "--reconstructions",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="folder of pictures that another codec made, with bpp.json; may be repeated",
    )
    command.add_argument(
        "--out",
        type=Path,
        default=OUTPUT,
        metavar="FOLDER",
        help=f"folder for results and coded files (default {OUTPUT})",
    )


def _add_anchor(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--anchor",
        metavar="CODEC",
        help=f"the codec that BD-rates compare with (default: the first of {', '.join(ANCHORS)})",
    )


def codecs_of(arguments: argparse.Namespace) -> tuple[list[Codec], list[str]]:
    """The codecs asked for, and lines about those that cannot run here. Raises OptionError."""
    wanted: list[Any] = [_built_in(text) for text in arguments.codec or CODECS]
    if arguments.commands is not None:
        wanted += read_commands(arguments.commands)
    for folder in arguments.reconstructions:
        wanted.append(Reconstructions(folder))
        wanted[-1].check()
    names = [codec.name for codec in wanted]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"two codecs are called {', '.join(sorted(twice))}; rename one"
        raise OptionError(msg)
    left_out = {codec.name: line for codec in wanted if (line := _missing(codec)) is not None}
    usable = [codec for codec in wanted if codec.name not in left_out]
    if not usable:
        msg = f"no codec can run here: {'; '.join(left_out.values())}"
        raise OptionError(msg)
    return usable, list(left_out.values())


def _missing(codec: Any) -> str | None:
    found: str | None = codec.missing() if hasattr(codec, "missing") else None
    return found


def _ladder(name: str, listed: str) -> tuple[str, ...]:
    """The qualities listed after a codec's name. Raises OptionError for what its library would round or clip."""
    parts = tuple(part.strip() for part in listed.split(","))
    for part in parts:
        if name == "jpeg2000":
            fits = part.replace(".", "", 1).isdecimal() and 1 <= float(part) <= 100
            kind = "number of decibels from 1 to 100"
        else:
            low, high = QUALITIES.get(name, (0, 100))
            fits = part.isdecimal() and low <= int(part) <= high
            kind = f"whole number from {low} to {high}"
        if not fits:
            msg = f"quality {part!r} of {name} is not a {kind}"
            raise OptionError(msg)
        if parts.count(part) > 1:
            msg = f"quality {part} of {name} is named twice"
            raise OptionError(msg)
    return parts


def _built_in(text: str) -> Any:
    name, colon, listed = text.partition(":")
    if name not in CODECS:
        msg = f"there is no codec {name}; choose of {', '.join(CODECS)}, or describe it in --commands"
        raise OptionError(msg)
    ladder = _ladder(name, listed) if colon else None
    if name == "pico":
        return PicoCodec() if ladder is None else PicoCodec(ladder)
    if name == "vvc":
        return VvcCodec() if ladder is None else VvcCodec(ladder)
    if name == "mozjpeg":
        return MozjpegCodec() if ladder is None else MozjpegCodec(ladder)
    codec = PILLOW_CODECS[name]
    return codec if ladder is None else replace(codec, ladder=ladder)


def _rd(arguments: argparse.Namespace) -> int:
    originals = find_originals(arguments.folder, arguments.only)
    codecs, left_out = codecs_of(arguments)
    _anchor(arguments.anchor, [codec.name for codec in codecs])  # complains before hours of measuring
    names = arguments.metrics or EVERY_METRIC
    text = TextSource(arguments.out, arguments.text_truth)
    unreadable = text.missing() if any(name in TEXT_METRICS for name in names) else None
    if unreadable:
        left_out.append(unreadable)
    metrics = [EVERY_METRIC[name] for name in names if not (unreadable and name in TEXT_METRICS)]
    store = Store(arguments.out)
    if store.unreadable:
        _say(
            f"{store.unreadable} lines of {arguments.out / 'results.jsonl'} were damaged and are passed over"
        )
    known = len(store)
    run = rd.measure(originals, codecs, metrics, store, _say, text)
    run = replace(run, notes=[*left_out, *run.notes], command=arguments.command_line)
    run.save(arguments.out)
    print(f"{len(run.rows)} coded pictures, {len(store) - known} new numbers, cache in {arguments.out}")
    found, notes = curves.curves(run.rows)
    for line in (*run.notes, *notes):
        _say(line)
    measured = [curve.codec for curve in found]
    _print(found, _anchor(arguments.anchor if arguments.anchor in measured else None, measured))
    _draw(found, arguments.out)
    return FAILED if run.failures else FINE


def _print(found: Sequence[Curve], anchor: str | None) -> None:
    metrics = tables.metrics_of(found)
    for curve in found:
        print(f"\n{curve.codec}, mean of {len(curve.images)}")
        print(tables.as_text(tables.means(curve, metrics)))
    if anchor is None or len(found) < 2:
        return
    unavailable = curves.missing_package()
    if unavailable:
        _say(unavailable)
        return
    compared = tables.comparisons(found, anchor, metrics)
    print(f"\nBD-rate against {anchor} in percent (negative: fewer bytes), 95 % intervals over pictures")
    print(tables.as_text(tables.bd_rates(compared, metrics)))
    print("\n".join(["", *tables.bd_remarks({k: c for k, c in compared.items() if k[0] == PICO})]))


def _draw(found: Sequence[Curve], folder: Path) -> list[Path]:
    unavailable = plots.missing_package()
    if unavailable:
        _say(unavailable)
        return []
    return plots.draw(found, tables.metrics_of(found), folder / "plots") if found else []


def _anchor(asked: str | None, names: Sequence[str]) -> str | None:
    if asked is not None and asked not in names:
        msg = f"the anchor {asked} is not among the codecs; choose of {', '.join(names)}"
        raise OptionError(msg)
    return asked or next((name for name in ANCHORS if name in names), None)


def _crops(arguments: argparse.Namespace) -> int:
    originals = find_originals(arguments.folder, arguments.only)
    codecs, left_out = codecs_of(arguments)
    look = arguments.box, arguments.side, arguments.zoom, arguments.columns
    failures: list[str] = []
    for original in originals:
        try:
            size = _bytes_for(arguments, original)
            sheet = crops.side_by_side(original, codecs, size, *look)
        except OptionError:
            raise
        except PicoError as error:  # this picture only
            failures.append(str(error))
            continue
        path = crops.save_sheet(sheet, arguments.out, original)
        print(f"{path}: {size:,.0f} bytes, crop {','.join(map(str, sheet.box))}")
        left_out += sheet.notes
        failures += sheet.failures
    for line in (*left_out, *failures):
        _say(line)
    return FAILED if failures else FINE


def _bytes_for(arguments: argparse.Namespace, original: Original) -> float:
    """As many as --bpp allows, or as the .pico file has."""
    if arguments.bpp is None:
        return PicoCodec().code(original, arguments.quality).size
    height, width = original.pixels.shape[:2]
    return float(arguments.bpp * height * width / 8)


def _report(arguments: argparse.Namespace) -> int:
    folder = arguments.out
    try:
        run = rd.Run.load(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"there is no run to report on in {folder}: {error}; run pico-bench rd first"
        raise OptionError(msg) from error
    text = None if arguments.speed is None else _times(arguments.speed)
    sheets, others = crops.find_sheets(folder, run)
    for line in others:
        _say(line)
    found, notes = curves.curves(run.rows)
    drawn = _draw(found, folder)
    lines = [*notes, *filter(None, (plots.missing_package(), curves.missing_package()))]
    anchor = _anchor(arguments.anchor, [curve.codec for curve in found])
    html = report.page(run, found, [*lines, *others], anchor, drawn, sheets, text)
    partial = folder / f"{REPORT}.part"
    partial.write_text(html, "utf-8")
    partial.replace(folder / REPORT)
    print(f"{folder / REPORT}: {len(html):,} bytes")
    if arguments.markdown is not None:
        _evidence(arguments, run, found, lines, drawn, text)
    return FINE


def _times(path: Path) -> str:
    """What `pico-bench speed --json` printed, as tables."""
    try:
        return speed.as_text(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path} is not what pico-bench speed --json prints: {error}; name its file or leave out --speed"
        )
        raise OptionError(msg) from error


def _evidence(
    arguments: argparse.Namespace,
    run: rd.Run,
    found: Sequence[Curve],
    notes: Sequence[str],
    drawn: Sequence[Path],
    timing: str | None,
) -> None:
    name = arguments.section or arguments.out.resolve().name
    shown = evidence.copy_plots(drawn, arguments.markdown, name, len(run.text) == len(run.sizes))
    body = evidence.section(run, found, notes, shown, timing)
    evidence.put_section(arguments.markdown, name, body)
    print(f"{arguments.markdown}: section {name}, {len(body):,} characters")


def _text_pages(arguments: argparse.Namespace) -> int:
    text_pages.write_pages(arguments.folder, arguments.count, arguments.seed)
    truth = arguments.folder / text_pages.TRUTH
    print(
        f"{arguments.count} pictures; measure them with: pico-bench rd {arguments.folder} --text-truth {truth}"
    )
    return FINE


if __name__ == "__main__":
    sys.exit(main())
