"""Command `pico-train`: what it takes, what it prints, and its exit codes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pico_codec.program import FINE, Program, say
from pico_core.errors import OptionError

_EXIT_CODES = """exit codes:
  0    done
  1    it failed; the message on standard error says what and why
  2    the command line is wrong; nothing was done
  130  stopped by Ctrl-C; `run` saves first and exits with 0
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return its exit code."""
    return _program().main(argv)


def _program() -> Program:
    program = Program("pico-train", "Make weights for the codec.", _EXIT_CODES)
    _add_pack(program)
    _add_masks(program, "text", "PP-OCR's detector", "text loss")
    _add_masks(program, "faces", "MTCNN", "face loss")
    _add_run(program)
    _add_carry(program)
    _add_away(program)
    _add_collect(program)
    _add_plot(program)
    _add_average(program)
    _add_export(program)
    _add_evaluate(program)
    return program


def _add_pack(program: Program) -> None:
    command = program.command(
        "pack",
        "decode photographs once, into files that training maps into memory",
        _pack,
        "Pack the pictures of folders, or of other packs.",
    )
    command.add_argument(
        "folders", metavar="FOLDER", type=Path, nargs="+", help="folders of pictures, or packs"
    )
    command.add_argument("--out", type=Path, required=True, metavar="PACK", help="folder for the pack")
    command.add_argument(
        "--max-side", type=int, default=0, metavar="N", help="reduce longer sides to N pixels"
    )
    command.add_argument(
        "--webp",
        type=int,
        default=0,
        metavar="Q",
        help="store WebP files of quality Q instead of pixels, to carry them to another machine; files that need no "
        "change stay as they are; pack the result there again to train on it",
    )
    command.add_argument(
        "--part-mib", type=float, default=15, metavar="N", help="largest part (default: %(default)s MiB)"
    )


def _pack(arguments: argparse.Namespace) -> int:
    from .packs import Packing, pack

    if not 0 <= arguments.webp <= 100 or arguments.part_mib <= 0 or arguments.max_side < 0:
        msg = "--webp must be from 0 to 100, --part-mib above 0, --max-side 0 or more"
        raise OptionError(msg)
    packing = Packing(arguments.max_side, arguments.webp, int(arguments.part_mib * 2**20))
    done = pack(arguments.folders, arguments.out, packing)
    for line in done.left_out:
        say("pico-train", f"left out: {line}")
    size = f"{done.bytes / 2**20:.1f} MiB in {done.parts} parts"
    print(f"{arguments.out}: {done.photos} pictures, {done.megapixels:.1f} megapixels, {size}")
    return FINE


def _add_masks(program: Program, kind: str, detector: str, loss: str) -> None:
    command = program.command(
        f"{'text' if kind == 'text' else 'face'}-masks",
        f"find {kind} in a pack's pictures, for the {loss}",
        partial(_masks, kind),
        f"Find {kind} with {detector} and cache the outlines in each pack as {kind}.json.",
    )
    command.add_argument("packs", metavar="PACK", type=Path, nargs="+", help="packs of `pico-train pack`")
    command.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads of the detector (default 1)"
    )
    command.add_argument("--again", action="store_true", help="look at every picture again")


def _masks(kind: str, arguments: argparse.Namespace) -> int:
    from .detection import find_in_pack

    for folder in arguments.packs:
        pictures, found = find_in_pack(folder, kind, arguments.threads, arguments.again)
        print(f"{folder}: {kind} in {found} of {pictures} pictures")
    return FINE


def _add_run(program: Program) -> None:
    command = program.command(
        "run",
        "train, or go on training",
        _run,
        "Train as a config says. The same command again goes on where the last one ended, or was killed.",
    )
    command.add_argument("config", metavar="CONFIG", help="a TOML file, or mse, perceptual or scales")
    command.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    limits = command.add_mutually_exclusive_group()
    limits.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="stop after M minutes")
    limits.add_argument("--steps", type=int, default=None, metavar="N", help="stop after N further steps")
    command.add_argument(
        "--init", type=Path, metavar="WEIGHTS", help="start from another run, a checkpoint or a weights file"
    )
    command.add_argument("--data", nargs="+", metavar="PACK", help="packs to train on; overrides data.packs")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the config, for example gan.weight=0",
    )


def _run(arguments: argparse.Namespace) -> int:
    from . import config as configs
    from .engine import Limits, train
    from .hardware import device_of
    from .processes import run_team, team_size

    if arguments.steps is not None and arguments.steps < 0:
        msg = f"--steps is {arguments.steps}; it must be 0 or more"
        raise OptionError(msg)
    config = configs.read(arguments.config, arguments.set, arguments.data or ())
    steps = math.inf if arguments.steps is None else arguments.steps
    size = 1
    if device_of(config).type == "cpu":
        size = team_size(config.engine.processes, config.batch // config.micro_batch)
    run_team(size, train, (config, arguments.out, Limits(arguments.minutes, steps), arguments.init))
    return FINE


def _add_carry(program: Program) -> None:
    command = program.command(
        "carry",
        "put weights and pictures into a folder that travels to a borrowed machine",
        _carry,
        "Write the weights of a run, in 16 bits, and as many pictures as fit, as WebP files, in parts of 15 MiB.",
    )
    command.add_argument(
        "source", metavar="RUN|WEIGHTS", type=Path, help="a run, a checkpoint or a weights file"
    )
    command.add_argument(
        "--data", nargs="+", type=Path, required=True, metavar="PACK", help="packs to take pictures from"
    )
    command.add_argument(
        "--mib", type=float, default=45, metavar="N", help="size in all, in MiB (default %(default)s)"
    )
    command.add_argument("--out", type=Path, required=True, metavar="LOAD", help="folder to write")


def _carry(arguments: argparse.Namespace) -> int:
    from .carrying import carry

    load = carry(arguments.source, arguments.data, arguments.out, int(arguments.mib * 2**20))
    print(f"{arguments.out}: {load.bytes / 2**20:.1f} MiB, {load.pictures} pictures")
    return FINE


def _add_away(program: Program) -> None:
    command = program.command(
        "away",
        "train on a borrowed machine from what `carry` wrote",
        _away,
        "Train for some minutes, in large batches, and write the averaged weights every minute, in parts of 15 MiB. "
        "The learning rates fall with the time. Where CUDA fails: --set engine.channels_last=false, "
        "--set engine.compile=false, --set engine.precision=float32.",
    )
    command.add_argument("load", metavar="LOAD", type=Path, help="the folder of `pico-train carry`")
    command.add_argument(
        "--config",
        default="perceptual",
        help="a TOML file, or mse, perceptual or scales (default %(default)s)",
    )
    command.add_argument("--minutes", type=float, required=True, metavar="M", help="train for M minutes")
    command.add_argument(
        "--work", type=Path, required=True, metavar="FOLDER", help="folder for pixels and the run"
    )
    command.add_argument("--out", type=Path, required=True, metavar="BACK", help="folder for the result")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the config"
    )


def _away(arguments: argparse.Namespace) -> int:
    from .carrying import away_config, weights_of
    from .engine import Limits, train
    from .processes import Team

    config = away_config(arguments.load, arguments.work, arguments.config, arguments.minutes, arguments.set)
    limits = Limits(arguments.minutes, send_to=arguments.out)
    train(Team(), config, arguments.work / "run", limits, weights_of(arguments.load))
    return FINE


def _add_collect(program: Program) -> None:
    command = program.command(
        "collect",
        "make a checkpoint of the parts that came back",
        _collect,
        "Join the parts that `pico-train away` wrote into a checkpoint, to begin a run with.",
    )
    command.add_argument("back", metavar="BACK", type=Path, help="the folder that came back")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the checkpoint to write")


def _collect(arguments: argparse.Namespace) -> int:
    from .carrying import collect

    step = collect(arguments.back, arguments.out)
    print(f"{arguments.out}: step {step}")
    return FINE


def _add_plot(program: Program) -> None:
    command = program.command(
        "plot", "draw a run's curves", _plot, "Draw loss, rate and distortions over steps, as PNG."
    )
    command.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders of runs, drawn together")
    command.add_argument("--out", type=Path, metavar="PNG", help="default: curves.png in the first RUN")


def _plot(arguments: argparse.Namespace) -> int:
    from .plot import plot_runs

    out = arguments.out or arguments.runs[0] / "curves.png"
    plot_runs(arguments.runs, out)
    print(out)
    return FINE


def _add_average(program: Program) -> None:
    command = program.command(
        "average",
        "make the mean of the weights of several runs",
        _average,
        "Write a checkpoint with the mean of the weights of runs that began one at the other's end, to be exported, "
        "evaluated, or trained from (run --init).",
    )
    command.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="folders of runs, or checkpoints")
    command.add_argument(
        "--shares",
        type=float,
        nargs="+",
        default=[],
        metavar="X",
        help="share of each RUN (default: equal shares)",
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the checkpoint to write")


def _average(arguments: argparse.Namespace) -> int:
    from .averaging import average

    shares = average(arguments.runs, arguments.shares, arguments.out)
    for run, share in zip(arguments.runs, shares, strict=True):
        print(f"{share:.3f}  {run}")
    print(arguments.out)
    return FINE


def _add_export(program: Program) -> None:
    command = program.command(
        "export",
        "make a weights file that the codec loads",
        _export,
        "Turn the networks into integers, fit the entropy tables, measure the "
        "quality scale, and write ID.safetensors with its model card.",
    )
    command.add_argument(
        "source", metavar="RUN", type=Path, help="a run's folder, a checkpoint or a model's weights"
    )
    command.add_argument(
        "--photos", type=Path, required=True, metavar="FOLDER", help="training pictures, or a pack"
    )
    command.add_argument(
        "--count", type=int, default=120, metavar="N", help="number of pictures to fit on (default 120)"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder for ID.safetensors"
    )
    command.add_argument("--card", type=Path, metavar="JSON", help="more entries for the model card")
    command.add_argument("--default", action="store_true", help="make these the weights that encode")


def _export(arguments: argparse.Namespace) -> int:
    from .shipping import QualityError, ship

    shipped = ship(arguments.source, arguments.photos, arguments.count, arguments.out, arguments.card)
    print(f"{shipped.path}  {shipped.path.stat().st_size / 1e6:.1f} MB")
    for problem in shipped.problems:
        say("pico-train", f"quality scale: {problem}")
    if not arguments.default:
        return FINE
    default = arguments.out / "default.txt"
    if shipped.problems:
        msg = (
            f"{default} was not written, because quality does not rise with every step of the scale; write "
            f"{shipped.path.stem} into it yourself if these weights shall encode all the same"
        )
        raise QualityError(msg)
    from .files import write_whole

    write_whole(default, [f"{shipped.path.stem}\n".encode("ascii")])
    return FINE


def _add_evaluate(program: Program) -> None:
    command = program.command(
        "evaluate",
        "measure with real files against AVIF and JPEG",
        _evaluate,
        "Encode pictures at several levels to real files, decode them, and compare with AVIF and JPEG.",
    )
    command.add_argument(
        "source", metavar="RUN|WEIGHTS", type=Path, help="a run, a checkpoint or a weights file"
    )
    command.add_argument("pictures", metavar="FOLDER", type=Path, help="reference pictures")
    command.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="pictures to fit the tables of a RUN on (default: its first pack)",
    )
    command.add_argument(
        "--count", type=int, default=48, metavar="N", help="number of these pictures (default 48)"
    )
    command.add_argument("--levels", type=int, default=8, metavar="N", help="number of levels (default 8)")
    command.add_argument(
        "--limit", type=int, default=0, metavar="N", help="use only N pictures (default: all)"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="STEM", help="writes STEM.json and STEM.png"
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    from .evaluate import Request, evaluate

    request = Request(
        arguments.pictures, arguments.levels, arguments.limit, arguments.photos, arguments.count
    )
    print(evaluate(arguments.source, request, arguments.out))
    return FINE
