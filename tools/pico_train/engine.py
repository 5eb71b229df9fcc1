"""The training loop: the same on CPUs and CUDA, alone or with other processes, straight through or resumed.

Every process computes its micro-batches of a step; gradients are added up over processes, and each process then
takes the same optimiser step (the costly part of it is shared out), so their weights stay equal without being sent.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pico_core.errors import OptionError, PicoError

from . import checkpoint
from .carrying import send
from .config import Config, differences
from .discriminator import Discriminator, discriminator_loss
from .hardware import describe, device_of, place, precision_of, set_layout
from .networks.model import PicoModel
from .objective import Adversary, Objective, Terms, autocast
from .optimiser import AveragedWeights, MuonAdam, rate_factor
from .packs import Pack, summary_of
from .principal import sample, start_linear
from .processes import Team
from .reshaping import is_reshaped, reshape
from .run_log import Progress, RunLog, read_log
from .sampling import Batches, Group, Prefetcher
from .start import Start, architecture_of, make_architecture, read_start, starting_weights
from .tile_groups import code

MOST_SKIPPED_IN_A_ROW = 50
SECONDS_BETWEEN_SENDS = 60
_PICTURES_TO_RESHAPE = 24


class TrainingError(PicoError):
    """Training cannot go on."""


@dataclass(frozen=True)
class Limits:
    """When a call of `pico-train run` stops before the schedule does."""

    minutes: float = math.inf
    steps: float = math.inf  # further steps, from where the call begins
    send_to: Path | None = None  # a folder that gets the averaged weights every minute, see `carrying`


class Trainer:
    """The state of a run in one process."""

    def __init__(self, config: Config, run: Path, team: Team, init: Path | None = None):
        self.config, self.run, self.team = config, run, team
        self.device = device_of(config)
        torch.backends.cudnn.allow_tf32 = False  # the rate path is float32, not a rounded one
        torch.manual_seed(config.seed)
        set_layout(config.engine.channels_last)
        self.architecture = architecture_of(config)
        self.model = self._make_model()
        self.discriminator: Discriminator | None = None
        self.discriminator_optimiser: torch.optim.Adam | None = None
        if config.gan.weight:
            self.discriminator = place(Discriminator(config.gan.width), self.device)
            rate, betas = config.gan.learning_rate, (0.5, 0.9)
            self.discriminator_optimiser = torch.optim.Adam(self.discriminator.parameters(), rate, betas)
        precision = precision_of(config, self.device)
        self.optimiser = MuonAdam(self.model.named_parameters(), config.optimiser, team, precision)
        self.ema = AveragedWeights(self.model, config.optimiser.ema)
        self.step = self.skipped = self._skipped_in_a_row = 0
        self.seconds = 0.0
        packs = [Pack(Path(folder)) for folder in config.data.packs]
        if not packs:
            msg = "no training data; name packs with --data, or in the config under data.packs"
            raise OptionError(msg)
        self._data = [pack.fingerprint for pack in packs]
        self._pictures = summary_of(packs)
        self._restore(checkpoint.load(run, self.device), init, packs)
        self.objective = Objective(config, self.architecture.levels, self.device)
        batches = Batches(config, self.architecture.levels, self.device, packs)
        self._micro_batches = batches.micro_batches
        self._source = Prefetcher(batches) if self.device.type == "cuda" else batches
        self._networks: Callable[..., Any] = self.model
        if config.engine.compile:
            # A batch has two sizes, crops and tiles: no need for code that takes any size.
            self._networks = torch.compile(self.model, dynamic=False)

    def _make_model(self) -> PicoModel:
        model = PicoModel(self.architecture)
        place(model, self.device).train()
        if prefix := self.config.rate.train_only:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(prefix) and parameter.requires_grad)
            if not any(parameter.requires_grad for parameter in model.parameters()):
                msg = f"config: no parameter's name begins with rate.train_only = {prefix!r}"
                raise OptionError(msg)
        return model

    def _restore(self, saved: dict[str, Any] | None, init: Path | None, packs: Sequence[Pack]) -> None:
        """Take over the run's checkpoint, or else the starting weights."""
        self.changes: list[str] = []
        self._earlier: list[Any] = []
        if saved is None:
            if init is not None:
                start = self._reshaped(read_start(init), packs)
                self.model.load_state_dict(starting_weights(start, self.config, init))
                self.ema.load(self.model.state_dict())
                self._earlier = list(start.history)
            elif self.config.start == "principal":
                start_linear(self.model, packs, self.config)
                self.ema.load(self.model.state_dict())
            return
        if make_architecture(saved["architecture"]) != self.architecture:
            msg = f"{self.run} holds a run of another architecture; choose another folder for this config"
            raise OptionError(msg)
        self.model.load_state_dict(saved["weights"])
        self.ema.load(saved["ema"])
        try:
            self.optimiser.load_state_dict(saved["optimiser"])
        except ValueError as error:
            msg = (
                f"{self.run} trains other parameters than this config (rate.train_only), or in other groups, as an "
                f"earlier version did; choose another folder, and --init {self.run}"
            )
            raise OptionError(msg) from error
        if self.discriminator is not None and saved["discriminator"] is not None:
            assert self.discriminator_optimiser is not None
            try:
                self.discriminator.load_state_dict(saved["discriminator"])
            except RuntimeError as error:
                msg = f"{self.run} has a discriminator of another gan.width; keep that, or choose another folder"
                raise OptionError(msg) from error
            self.discriminator_optimiser.load_state_dict(saved["discriminator_optimiser"])
            for group in self.discriminator_optimiser.param_groups:
                group["lr"] = self.config.gan.learning_rate
        self._earlier = saved["history"][:-1]
        self.step, self.skipped, self.seconds = saved["step"], saved["skipped"], saved["seconds"]
        self.changes = differences(saved["config"], _plain(self.config.to_dict()))
        if saved["data"] != self._data:
            self.changes.append(f"pictures: {saved['data']} -> {self._data}")

    def _reshaped(self, start: Start, packs: Sequence[Pack]) -> Start:
        """The starting weights, with as many blocks and as wide passes as the config wants."""
        if not is_reshaped(start.architecture, self.architecture):
            return start
        crops = sample(packs, self.config.data.crop, _PICTURES_TO_RESHAPE)
        state = reshape(start.state, start.architecture, self.architecture, crops)
        return replace(start, state=state, architecture=self.architecture)

    def state(self) -> dict[str, Any]:
        """Everything a checkpoint holds."""
        adversary, its_optimiser = self.discriminator, self.discriminator_optimiser
        return {
            "step": self.step,
            "architecture": _plain(self.architecture.to_dict()),
            "config": _plain(self.config.to_dict()),
            "weights": self.model.state_dict(),
            "ema": self.ema.state,
            "optimiser": self.optimiser.state_dict(),
            "discriminator": None if adversary is None else adversary.state_dict(),
            "discriminator_optimiser": None if its_optimiser is None else its_optimiser.state_dict(),
            "skipped": self.skipped,
            "seconds": self.seconds,
            "data": self._data,
            "pictures": self._pictures,
            "history": [*self._earlier, self._summary()],
        }

    def _summary(self) -> dict[str, Any]:
        """The line of this run in the history that a model card shows."""
        config = self.config
        summary = {"phase": config.phase, "steps": self.step, "batch": config.batch, "crop": config.data.crop}
        adversarial = max(0, self.step - config.gan.start) if config.gan.weight else 0
        hours = round(self.seconds / 3600, 2)
        return summary | {"steps_with_gan": adversarial, "hours": hours, "hardware": describe()}

    def save(self) -> None:
        """Replace the run's checkpoint, in the process that owns it."""
        if self.team.leads:
            checkpoint.save(self.run, self.state())

    def advance(self, stop: bool = False) -> Terms:
        """Take one step. Returns the means of all terms over the whole batch, and the gradient's norm.

        Its term `stop` is positive if any process of the team asked to stop after this step. A step whose loss or
        gradient is not finite changes nothing but the counters.
        Raises TrainingError after fifty such steps in a row.
        """
        discriminator = self.discriminator if self.objective.discriminator_learns(self.step) else None
        if discriminator is not None:
            discriminator.refresh()
        terms: Terms = {}
        for index in self.team.share_of(self._micro_batches):
            # Rounding noise, too, belongs to the micro-batch and not to the process or the history.
            torch.manual_seed(self.config.seed * 1_000_003 + self.step * 1009 + index)
            group = self._source.micro_batch(self.step, index).to(self.device)
            for name, value in self._accumulate(group, discriminator).items():
                terms[name] = terms.get(name, torch.zeros((), device=self.device)) + value
        terms["stop"] = torch.tensor(float(stop), device=self.device)
        finite, norm = self._exchange(terms, discriminator)
        self.optimiser.set_factor(rate_factor(self.config.schedule, self.step, self.seconds / 60))
        if finite:
            self.optimiser.step()
            if discriminator is not None and self.discriminator_optimiser is not None:
                self.discriminator_optimiser.step()
        self._count(finite)
        self.optimiser.zero_grad(set_to_none=True)
        if self.discriminator_optimiser is not None:
            self.discriminator_optimiser.zero_grad(set_to_none=True)
        self.step += 1
        if finite:
            self.ema.update(self.step)
        return terms | {"gradient": norm}

    def _accumulate(self, group: Group, discriminator: Discriminator | None) -> Terms:
        """Add a group's share to the gradients; returns its share of all terms."""
        with autocast(self.config, self.device):
            output, *bits = code(self._networks, group.pixels, group.level, group.tiles)
        adversary: Adversary | None = None
        if discriminator is not None:
            adversary = self.objective.adversary(discriminator, self.step, group.pixels)
        loss, terms = self.objective(output, group, (bits[0], bits[1]), adversary, self.step)
        (loss * group.share).backward()  # type: ignore[no-untyped-call]
        terms["loss"] = loss.detach()
        if adversary is not None:
            with autocast(self.config, self.device):
                # In one batch, so that the spectral norms are taken once.
                verdicts = adversary(torch.cat([group.pixels, output.detach().clamp(0, 1)]))
            its_loss = discriminator_loss(*verdicts.chunk(2)).mean()
            (its_loss * group.share).backward()  # type: ignore[no-untyped-call]
            terms["discriminator"] = its_loss.detach()
        return {name: value * group.share for name, value in terms.items()}

    def _exchange(self, terms: Terms, discriminator: Discriminator | None) -> tuple[bool, Tensor]:
        """Add gradients and terms up over processes, clip; returns whether all is finite, and the norm."""
        modules: list[nn.Module] = [self.model, *([discriminator] if discriminator is not None else [])]
        gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
        names = sorted(terms)
        values = torch.stack([terms[name] for name in names])
        self.team.add_up([*gradients, values])
        terms.update(zip(names, values.unbind(), strict=True))
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimiser.clip)
        others = torch.zeros(())
        if discriminator is not None:
            others = nn.utils.get_total_norm(
                [p.grad for p in discriminator.parameters() if p.grad is not None]
            )
        return bool(torch.isfinite(norm + others + terms["loss"])), norm.detach()

    def _count(self, finite: bool) -> None:
        self._skipped_in_a_row = 0 if finite else self._skipped_in_a_row + 1
        self.skipped += not finite
        if self._skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            msg = (
                f"{MOST_SKIPPED_IN_A_ROW} steps in a row were not finite, up to step {self.step}; resume from the "
                "last checkpoint with lower learning rates (optimiser.muon_rate, optimiser.adam_rate)"
            )
            raise TrainingError(msg)


def _plain(values: Any) -> Any:
    """Tuples as lists: what comes back from a checkpoint compares equal to what went in."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, list | tuple) else values


def train(team: Team, config: Config, run: Path, limits: Limits, init: Path | None = None) -> None:
    """Train in this process until the schedule ends, a limit is reached, or a signal asks to stop.

    Writes RUN/checkpoint.pt and RUN/log.jsonl from the team's first process. Raises PicoError subclasses.
    """
    if config.evaluation.pictures and config.evaluation.every:
        _require_evaluation(Path(config.evaluation.pictures))
    with checkpoint.sole_writer(run) if team.leads else nullcontext(), _stop_on_signals() as stop:
        trainer = Trainer(config, run, team, init)
        log = RunLog(run, trainer.step) if team.leads else None
        if log is not None:
            log.start(trainer.step, trainer.changes)
        progress = Progress(config.schedule.steps, trainer.step, shown=team.leads)
        if log is not None and _is_due(config, trainer.step) and not _was_evaluated(run, trainer.step):
            log.write(_evaluate(trainer))  # a kill came between the checkpoint and its evaluation
        begin, before, first = time.monotonic(), trainer.seconds, trainer.step
        sent = begin
        while trainer.step < config.schedule.steps and trainer.step - first < limits.steps:
            late = time.monotonic() - begin >= 60 * limits.minutes
            terms = trainer.advance(stop=stop() or late)
            stopping = bool(terms.pop("stop"))
            progress.add(terms)
            trainer.seconds = before + time.monotonic() - begin
            if log is not None and trainer.step % config.engine.log_every == 0:
                log.write(progress.row(trainer.step, trainer.seconds, trainer.skipped, _rate(trainer)))
            if trainer.step % config.engine.checkpoint_every == 0:
                trainer.save()
            if log is not None and _is_due(config, trainer.step):
                log.write(_evaluate(trainer))
            if limits.send_to is not None and time.monotonic() - sent >= SECONDS_BETWEEN_SENDS:
                send(trainer.state(), limits.send_to)
                sent = time.monotonic()
            if stopping:
                break
        trainer.save()
        if limits.send_to is not None:
            send(trainer.state(), limits.send_to)
        progress.close()


def _rate(trainer: Trainer) -> float:
    return float(trainer.optimiser.param_groups[0]["lr"])


def _is_due(config: Config, step: int) -> bool:
    evaluation = config.evaluation
    return bool(evaluation.pictures and evaluation.every and step) and step % evaluation.every == 0


def _was_evaluated(run: Path, step: int) -> bool:
    return any(row.get("step") == step and "evaluation" in row for row in read_log(run))


def _require_evaluation(pictures: Path) -> None:
    """Fail now, not after hours."""
    if missing := [name for name in ("matplotlib",) if find_spec(name) is None]:
        names = " and ".join(missing)
        msg = f"evaluation during training needs {names}; install it, or set evaluation.every=0"
        raise OptionError(msg)
    from pico_bench.originals import find_originals

    find_originals(pictures)


def _evaluate(trainer: Trainer) -> dict[str, Any]:
    """Save, measure with real files, and return a row for the log."""
    from .evaluate import evaluate_run

    trainer.save()
    summary = evaluate_run(trainer.run, trainer.config, trainer.step)
    return {"step": trainer.step, "evaluation": summary}


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT or SIGTERM into a wish to stop after the step; a second one acts as ever."""
    received: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])

    for wanted in (signal.SIGINT, signal.SIGTERM):
        previous[wanted] = signal.signal(wanted, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
