"""What each part of the recipe is worth here: `python -m pico_train.ablations --data PACK --pictures DIR --out RUNS`.

Trains one short run for each variant, all with the same budget and the same crops, measures them all in the same way,
and prints BD-rates against the variant that each differs from in one thing. With `--page`, the tables are written
between their marks in a Markdown page. Finished runs and measurements are kept in RUNS: the same command goes on.

The first table trains the networks on rate and MSE, from nothing. Most of its variants cannot be exported, so all of
them are measured by the model's own estimate of the bits. The second goes on from weights (`--init`) with the losses
for looks, and measures real files. `--study` chooses one of them. Short runs show what helps early; they do not say
where long ones end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pico_core.errors import OptionError

if TYPE_CHECKING:
    from pico_bench.codecs import Codec
    from pico_bench.curves import Curve
    from pico_bench.originals import Original
    from pico_bench.tables import Table

    from .config import Config

BASE = "base"


@dataclass(frozen=True)
class Variant:
    """A run that differs from another in one thing."""

    name: str
    what: str
    settings: tuple[str, ...] = ()
    against: str = BASE


@dataclass(frozen=True)
class Study:
    """Variants that are trained and measured alike."""

    name: str
    config: str
    variants: tuple[Variant, ...]
    metrics: tuple[str, ...]
    at_middle: tuple[str, ...] = ()  # metrics of which the value at the middle level is shown
    continues: bool = False  # goes on from weights, and measures real files


NETWORKS = Study(
    "networks",
    "mse",
    (
        Variant(BASE, "2x2 context, learned steps, ConvScale, Haar, principal start"),
        Variant("checkerboard", "context in two passes", ("architecture.context=checkerboard",)),
        Variant("channels", "context over groups of channels", ("architecture.context=channels",)),
        Variant("no-context", "all means and steps in one shot", ("architecture.context=none",)),
        Variant("fixed-step", "quantisation steps of 1", ("architecture.learned_step=false",)),
        Variant("no-convscale", "plain convolutions", ("architecture.conv_scale=false",)),
        Variant("stage-scales", "a scale at the end of each stage", ("architecture.stage_scales=true",)),
        Variant("pixel", "pixel shuffle for Haar", ("architecture.resampling=pixel",)),
        Variant("random-start", "random weights", ("start=random",)),
        Variant(
            "strided",
            "strided convolutions for Haar, both from random weights",
            ("architecture.resampling=strided", "start=random"),
            against="random-start",
        ),
    ),
    ("psnr", "lpips_alex"),
)
LOOKS = Study(
    "looks",
    "perceptual",
    (
        Variant(BASE, "every loss but the GAN", ("gan.weight=0",)),
        Variant("no-tal", "no TilingArtifactLoss", ("gan.weight=0", "losses.tiling_artifact.weight=0")),
        Variant("no-grid", "no GridArtifactLoss", ("gan.weight=0", "losses.grid_artifact.weight=0")),
        Variant("no-text", "no TextFidelityLoss", ("gan.weight=0", "losses.text_fidelity.weight=0")),
        Variant("no-lpips", "no LPIPS-Squeeze", ("gan.weight=0", "losses.lpips.weight=0")),
        Variant("no-resnet", "no ResNetLoss", ("gan.weight=0", "losses.resnet.weight=0")),
        Variant(
            "fixed-lpips",
            "LPIPS-Squeeze always in the same pose",
            ("gan.weight=0", "losses.lpips.shift=0", "losses.lpips.turn=false"),
        ),
        Variant("one-size", "LPIPS-Squeeze at full size only", ("gan.weight=0", "losses.lpips.sizes=[1.0]")),
        Variant("gan", "with the GAN", ("gan.start=0", "gan.lead=0", "gan.warm_up=100")),
    ),
    ("psnr", "lpips_alex", "lpips_squeeze", "ssimulacra2", "patch_distance"),
    at_middle=("tile_border", "tile_interior", "text_error"),
    continues=True,
)


STUDIES = (NETWORKS, LOOKS)


@dataclass(frozen=True)
class Budget:
    """What every run of a study gets."""

    packs: tuple[str, ...]
    steps: int
    crop: int
    settings: tuple[str, ...] = ()
    init: Path | None = None

    def overrides(self) -> list[str]:
        """As `pico-train run --set` takes them."""
        packs = ", ".join(f'"{pack}"' for pack in self.packs)
        return [
            f"data.packs=[{packs}]",
            f"data.crop={self.crop}",
            f"tiles.window={max(64, self.crop // 128 * 64)}",
            f"schedule.steps={self.steps}",
            f"schedule.warm_up={min(100, self.steps // 10)}",
            *self.settings,
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is not trained yet, measure, print."""
    from pico_bench import evidence

    parser = argparse.ArgumentParser(prog="python -m pico_train.ablations", description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK", help="packs to train on")
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER", help="to measure on")
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS", help="runs and measurements")
    parser.add_argument("--study", choices=[study.name for study in STUDIES], help="only this table")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help="what the second table goes on from")
    parser.add_argument("--steps", type=int, default=1000, help="of each run (1000)")
    parser.add_argument("--crop", type=int, default=128, help="side of a training crop (128)")
    parser.add_argument("--levels", type=int, default=5, help="at which variants are measured (5)")
    parser.add_argument("--limit", type=int, default=0, help="pictures; 0: all")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="only these, and what they differ from")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key for all of them"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page to write the tables into")
    arguments = parser.parse_args(argv)
    if arguments.study == LOOKS.name and arguments.init is None:
        parser.error("--study looks needs --init with the weights to go on from")
    for study in STUDIES:
        if arguments.study not in (None, study.name) or (study.continues and arguments.init is None):
            continue
        init = arguments.init if study.continues else None
        budget = Budget(tuple(arguments.data), arguments.steps, arguments.crop, tuple(arguments.set), init)
        table = carry_out(study, budget, arguments)
        text = f"{_about(budget, arguments)}\n\n{evidence.markdown(table)}"
        print(text)
        if arguments.page:
            evidence.put_section(arguments.page, study.name, text)
    return 0


def carry_out(study: Study, budget: Budget, arguments: argparse.Namespace) -> Table:
    """Train and measure the variants of a study."""
    chosen = _chosen(study, arguments.only)
    for variant in chosen:
        run = arguments.out / f"{study.name}-{variant.name}"
        print(f"{run.name}: {variant.what}", file=sys.stderr)
        train_variant(study, variant, budget, run)
    found = _measured(study, chosen, budget, arguments)
    return _table(study, chosen, found)


def _chosen(study: Study, only: Sequence[str] | None) -> list[Variant]:
    if not only:
        return list(study.variants)
    wanted = {v.name for v in study.variants if v.name in only}
    needed = {v.against for v in study.variants if v.name in wanted}
    return [v for v in study.variants if v.name in wanted | needed | {BASE}]


def train_variant(study: Study, variant: Variant, budget: Budget, run: Path) -> None:
    """Train a variant to the end of its budget, or do nothing if it has been.

    Raises OptionError if the folder holds a run of another budget, and other PicoError subclasses.
    """
    from . import checkpoint
    from .config import read
    from .engine import Limits, train
    from .hardware import device_of
    from .processes import run_team, team_size

    config = read(study.config, [*budget.overrides(), *variant.settings])
    if (saved := checkpoint.load(run)) is not None:
        _check_same(saved, config, budget, run)
        if saved["step"] >= budget.steps:
            return
    size = 1
    if device_of(config).type == "cpu":
        size = team_size(config.engine.processes, config.batch // config.micro_batch)
    run_team(size, train, (config, run, Limits(), budget.init))


def _check_same(saved: dict[str, Any], config: Config, budget: Budget, run: Path) -> None:
    """Raise OptionError unless the checkpoint is of this config and went on from the same weights."""
    from .config import differences
    from .start import read_start

    changes = [
        line for line in differences(saved["config"], config.to_dict()) if not line.startswith("engine.")
    ]
    earlier = list(read_start(budget.init).history) if budget.init else []
    if saved["history"][:-1] != earlier:
        changes.append(f"--init: other weights than {budget.init}")
    if changes:
        msg = f"{run} holds a run of another study ({'; '.join(changes)}); delete it, or choose another --out"
        raise OptionError(msg)


def _measured(
    study: Study, chosen: Sequence[Variant], budget: Budget, arguments: argparse.Namespace
) -> dict[str, Curve]:
    """Curves by variant, over the same pictures."""
    from pico_bench.curves import curves
    from pico_bench.originals import find_originals
    from pico_bench.rd import measure
    from pico_bench.store import Store
    from pico_bench.text_source import TextSource
    from pico_metrics.catalogue import EVERY_METRIC

    codecs = [_codec(study, variant, budget, arguments) for variant in chosen]
    originals: list[Original] = find_originals(arguments.pictures)[: arguments.limit or None]
    metrics = [EVERY_METRIC[name] for name in (*study.metrics, *study.at_middle)]
    folder = arguments.out / "measured"
    run = measure(
        originals,
        codecs,
        metrics,
        Store(folder),
        lambda line: print(line, file=sys.stderr),
        TextSource(folder),
    )
    return {curve.codec: curve for curve in curves(run.rows)[0]}


def _codec(study: Study, variant: Variant, budget: Budget, arguments: argparse.Namespace) -> Codec:
    from .evaluate import Request, codec_of

    request = Request(arguments.pictures, arguments.levels, photos=Path(budget.packs[0]), count=16)
    run = arguments.out / f"{study.name}-{variant.name}"
    codec = codec_of(run, request, estimated=not study.continues)[0]
    codec.name = variant.name
    return codec


def _table(study: Study, chosen: Sequence[Variant], found: dict[str, Curve]) -> Table:
    from pico_bench.curves import compare
    from pico_metrics.catalogue import EVERY_METRIC

    at_middle = [name for name in study.at_middle if all(name in curve.values for curve in found.values())]
    head = ["variant", "what", *(f"BD-rate, {EVERY_METRIC[name].label}" for name in study.metrics)]
    rows = [[*head, *(f"{EVERY_METRIC[name].label}, middle level" for name in at_middle)]]
    for variant in chosen:
        mine = found[variant.name]
        cells = [variant.name, variant.what]
        for name in study.metrics:
            if variant.name == BASE:
                cells.append("0")
                continue
            rate = compare(found[variant.against], mine, name)
            cells.append(rate.reason if rate.rate is None else f"{rate.rate.value:+.1f} %")
        middle = len(mine.qualities) // 2
        for name in at_middle:
            columns = mine.columns(name)
            cells.append(f"{mine.values[name][middle, columns].mean():.4f}" if len(columns) else "")
        rows.append(cells)
    return rows


def _about(budget: Budget, arguments: argparse.Namespace) -> str:
    """What was done, in a sentence."""
    changes = f" {', '.join(budget.settings)};" if budget.settings else ""
    went_on = f", each going on from {budget.init.name}" if budget.init else ""
    pictures = f"{arguments.limit} pictures" if arguments.limit else "all pictures"
    return (
        f"{budget.steps} steps of batch 8, crops of {budget.crop} pixels{went_on};{changes} {arguments.levels} levels "
        f"on {pictures} of {arguments.pictures.name}. Negative: fewer bits for the same score."
    )


if __name__ == "__main__":
    sys.exit(main())
