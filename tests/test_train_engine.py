"""Training survives being killed at any moment, and gives the same weights however it is run."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import ARCHITECTURE, make_pack, mse_config, one_thread, same, small_config  # noqa: F401

from pico_core.errors import OptionError
from pico_train import checkpoint, engine, hardware, plot
from pico_train.cli import main
from pico_train.config import BUNDLED, Config, Optimiser, Schedule, differences, from_dict, read
from pico_train.engine import Limits, Trainer, TrainingError, train
from pico_train.hardware import precision_of
from pico_train.networks.model import PicoModel
from pico_train.optimiser import MuonAdam, orthogonalise, rate_factor
from pico_train.processes import Team, WorkerError, run_team, team_size
from pico_train.run_log import read_log
from pico_train.start import make_architecture

EXACT = ("step", "weights", "ema", "optimiser", "discriminator", "discriminator_optimiser", "skipped")


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def straight(pack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The state after eight steps without interruption."""
    run = tmp_path_factory.mktemp("straight")
    run_team(1, train, (small_config(pack_folder), run, Limits()))
    return loaded(run)


def loaded(run: Path) -> dict[str, Any]:
    state = checkpoint.load(run)
    assert state is not None
    return state


def write_config(config: Config, path: Path) -> Path:
    """A TOML file with every value of a config."""

    def lines(values: dict[str, Any], section: str) -> Iterator[str]:
        plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
        if section:
            yield f"[{section}]"
        yield from (f"{name} = {json.dumps(value)}" for name, value in plain.items())
        for name, value in values.items():
            if isinstance(value, dict):
                yield from lines(value, f"{section}.{name}" if section else name)

    path.write_text("\n".join(lines(config.to_dict(), "")))
    return path


def test_a_resumed_run_is_identical_to_the_last_bit(
    pack_folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    config = small_config(pack_folder)
    for steps in (3, 2, 8):
        run_team(1, train, (config, tmp_path, Limits(steps=steps)))
    state = loaded(tmp_path)
    assert state["step"] == 8
    assert all(same(state[name], straight[name]) for name in EXACT)
    rows = [row for row in read_log(tmp_path) if "loss" in row]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]


def test_a_run_killed_in_full_flight_ends_with_the_same_weights(
    pack_folder: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    config = write_config(small_config(pack_folder), tmp_path / "config.toml")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "pico_train", "run", str(config), "--out", str(run)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (run / checkpoint.NAME).exists():
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.01)
    process.kill()
    process.wait()
    killed_at = loaded(run)["step"]
    assert 0 < killed_at < 8
    assert main(["run", str(config), "--out", str(run)]) == 0
    state = loaded(run)
    assert all(same(state[name], straight[name]) for name in EXACT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_while_a_checkpoint_is_written_leaves_a_whole_one(tmp_path: Path) -> None:
    weights = torch.rand(500_000)
    for attempt in range(8):
        child = os.fork()
        if child == 0:
            for step in range(10_000):
                checkpoint.save(tmp_path, {"step": step, "weights": weights + step})
            os._exit(0)
        while not (tmp_path / checkpoint.NAME).exists():
            time.sleep(0.001)
        time.sleep(random.Random(attempt).uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = loaded(tmp_path)
        assert torch.equal(state["weights"], weights + state["step"])
    with checkpoint.sole_writer(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {checkpoint.NAME, "lock"}


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"step": 1})
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(checkpoint.CheckpointError, match="cannot be read"):
        checkpoint.load(tmp_path)


def test_one_folder_has_one_writer(tmp_path: Path) -> None:
    with (
        checkpoint.sole_writer(tmp_path),
        pytest.raises(checkpoint.CheckpointError, match="another process"),
        checkpoint.sole_writer(tmp_path),
    ):
        pass


def test_two_processes_train_as_one_does_with_the_same_batch(pack_folder: Path, tmp_path: Path) -> None:
    config = small_config(
        pack_folder, engine={"precision": "float32"}, gan={"start": 0, "lead": 0, "window": 32}
    )
    run_team(1, train, (config, tmp_path / "alone", Limits(steps=2)))
    run_team(2, train, (config, tmp_path / "together", Limits(steps=2)))
    alone, together = loaded(tmp_path / "alone"), loaded(tmp_path / "together")
    assert together["step"] == 2
    for part in ("weights", "ema", "discriminator"):
        for name, tensor in alone[part].items():
            assert torch.allclose(tensor, together[part][name], rtol=1e-3, atol=1e-4), f"{part} {name}"


@pytest.mark.slow
def test_problems_in_another_process_are_told_as_they_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = write_config(mse_config(tmp_path / "nothing", engine={"processes": 2}), tmp_path / "config.toml")
    assert main(["run", str(config), "--out", str(tmp_path / "run")]) == 1
    assert "holds no pack" in capfd.readouterr().err


def fail_to_write(team: Team) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "checkpoint.pt")


@pytest.mark.slow
def test_a_full_disk_in_another_process_is_told_in_a_line() -> None:
    with pytest.raises(WorkerError, match=r"^\[Errno 28\] No space left on device: 'checkpoint\.pt'$"):
        run_team(2, fail_to_write, ())


@pytest.mark.slow
def test_an_interrupt_sent_to_the_command_alone_stops_its_team(pack_folder: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal; a supervisor's signal only the first."""
    config = mse_config(pack_folder, engine={"processes": 2, "log_every": 1}, schedule={"steps": 100_000})
    path = write_config(config, tmp_path / "config.toml")
    command = [sys.executable, "-m", "pico_train", "run", str(path), "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        while not any("loss" in row for row in read_log(tmp_path / "run")):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 0
    assert loaded(tmp_path / "run")["step"] < 100_000


def test_teams_are_as_large_as_micro_batches_divide() -> None:
    assert [team_size(wanted, 8) for wanted in (1, 2, 3, 4, 7, 8, 100)] == [1, 2, 2, 4, 4, 8, 8]
    assert sorted(index for rank in range(3) for index in Team(rank, 3).share_of(9)) == list(range(9))


def test_steps_that_are_not_finite_change_nothing_and_are_counted(pack_folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(mse_config(pack_folder), tmp_path, Team())
    trainer.advance()
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    averages = {name: tensor.clone() for name, tensor in trainer.ema.state.items()}
    handle = trainer.model.decoder.stage4[0].gain.register_hook(lambda g: g * math.nan)  # type: ignore[no-untyped-call]
    trainer.advance()
    assert (trainer.step, trainer.skipped) == (2, 1)
    assert same(before, dict(trainer.model.state_dict()))
    assert same(averages, trainer.ema.state)
    handle.remove()
    trainer.advance()
    assert (trainer.step, trainer.skipped) == (3, 1)
    assert not same(before, dict(trainer.model.state_dict()))


def test_training_gives_up_when_nothing_is_finite_any_more(
    pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_SKIPPED_IN_A_ROW", 5)
    trainer = Trainer(mse_config(pack_folder), tmp_path, Team())
    trainer.model.decoder.stage4[0].gain.register_hook(lambda g: g * math.inf)  # type: ignore[no-untyped-call]
    for _ in range(4):
        trainer.advance()
    with pytest.raises(TrainingError, match="lower learning rates"):
        trainer.advance()
    assert trainer.skipped == 5


def test_training_reduces_the_loss(pack_folder: Path, tmp_path: Path) -> None:
    timing = {"schedule": {"steps": 40, "warm_up": 5}, "engine": {"log_every": 10, "checkpoint_every": 40}}
    config = mse_config(pack_folder, start="random", **timing)
    run_team(1, train, (config, tmp_path, Limits()))
    losses = [row["loss"] for row in read_log(tmp_path) if "loss" in row]
    assert len(losses) == 4
    assert losses[-1] < 0.6 * losses[0]


def test_only_the_chosen_parameters_learn(pack_folder: Path, tmp_path: Path) -> None:
    rate = {"train_only": "scale_decoder."}
    trainer = Trainer(mse_config(pack_folder, rate=rate), tmp_path, Team())
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    for _ in range(2):
        trainer.advance()
    changed = {
        name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed
    assert all(name.startswith("scale_decoder.") for name in changed)


def test_a_changed_config_is_noted_and_another_architecture_refused(
    pack_folder: Path, tmp_path: Path
) -> None:
    train(Team(), mse_config(pack_folder), tmp_path, Limits(steps=1))
    train(Team(), mse_config(pack_folder, optimiser={"clip": 1.0}), tmp_path, Limits(steps=1))
    starts = [row for row in read_log(tmp_path) if row.get("event") == "start"]
    assert starts[-1]["changes"] == ["optimiser.clip: 2.0 -> 1.0"]
    with pytest.raises(OptionError, match="another architecture"):
        Trainer(mse_config(pack_folder, architecture={"wide": 24}), tmp_path, Team())


def test_learning_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(steps=1000, warm_up=10, constant=0.5, final=0.1)
    factors = [rate_factor(schedule, step) for step in range(1000)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:500] == [1.0] * 491
    assert all(a >= b for a, b in pairwise(factors[500:]))
    assert factors[-1] == pytest.approx(0.1, abs=1e-4)


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((4, 24, 16), (4, 16, 40)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert 0.6 < values.min() < values.max() < 1.3


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("*.toml")))
def test_bundled_configs_are_valid(name: str) -> None:
    config = read(name)
    assert from_dict(config.to_dict()) == config
    assert config.schedule.steps > 0


def test_overrides_change_single_keys() -> None:
    config = read("perceptual", ["gan.weight=0", "architecture.context=none", "data.packs=['a', 'b']"])
    assert config.gan.weight == 0
    assert config.architecture == {"context": "none"}
    assert config.data.packs == ("a", "b")
    changed = differences(read("perceptual").to_dict(), config.to_dict())
    assert [line.partition(":")[0] for line in changed] == [
        "architecture.context",
        "data.packs",
        "gan.weight",
    ]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("gan.wieght=1", "did you mean weight"),
        ("batch=7", "does not divide"),
        ("batch='8'", "must be of type int"),
        ("data.crop=100", "multiple of 64"),
        ("phase=fast", "must be one of mse, perceptual"),
        ("losses.lpips.weight=1", "need perceptual"),
        ("rate.lambda_low=1.0", "below lambda_high"),
        ("gan", "not KEY=VALUE"),
        ("batch=0", "batch is 0; it must be 1 or more"),
        ("seed=-1", "seed is -1"),
        ("optimiser.clip=-1.0", "optimiser.clip is -1.0"),
        ("optimiser.ema=1.0", "must be below 1"),
        ("schedule.warm_up=-5", "schedule.warm_up is -5"),
        ("data.reduced_share=7.0", "must be from 0 to 1"),
        ("engine.log_every=0", "must be 1 or more"),
        ("engine.checkpoint_every=0", "must be 1 or more"),
        ("gan.window=8", "must be 16 or more"),
        ("losses.mse.weight=-1", "losses.mse.weight is -1"),
        ("data.shares=[1.0]", "one entry for each"),
    ],
)
def test_mistakes_in_configs_are_explained(override: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        read("mse", [override])


@pytest.mark.parametrize(
    "change", [{"levels": 1}, {"latent": "x"}, {"wide": 0}, {"encoder_blocks": [1, 2, 3]}]
)
def test_impossible_architectures_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"architecture: {next(iter(change))}"):
        make_architecture(change)


def test_shares_are_those_of_the_packs_named_beside_the_config() -> None:
    assert read("mse", ["data.shares=[1.0, 3.0]"], ["a", "b"]).data.packs == ("a", "b")
    with pytest.raises(OptionError, match="not all 0"):
        read("mse", ["data.shares=[0, 0]"], ["a", "b"])


def test_a_folder_named_like_a_config_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mse").mkdir()
    assert read("mse").phase == "mse"
    (tmp_path / "latin.toml").write_bytes(b"phase = 'caf\xe9'")
    with pytest.raises(OptionError, match="is not TOML"):
        read("latin.toml")


def test_an_evaluation_that_cannot_be_made_stops_the_run_before_it_begins(
    pack_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="evaluation needs it")
    config = mse_config(pack_folder, evaluation={"pictures": str(tmp_path / "none"), "every": 5000})
    with pytest.raises(OptionError, match="is not a folder"):
        train(Team(), config, tmp_path / "run", Limits())
    assert not (tmp_path / "run").exists()


def test_no_steps_are_none(pack_folder: Path, tmp_path: Path) -> None:
    train(Team(), mse_config(pack_folder), tmp_path, Limits(steps=0))
    assert loaded(tmp_path)["step"] == 0


def test_a_discriminator_of_another_width_is_refused(pack_folder: Path, tmp_path: Path) -> None:
    Trainer(small_config(pack_folder), tmp_path, Team()).save()
    with pytest.raises(OptionError, match=r"another gan\.width"):
        Trainer(small_config(pack_folder, gan={"width": 32}), tmp_path, Team())


def test_runs_of_one_name_are_drawn_apart(tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="drawing needs matplotlib")
    runs = [tmp_path / "old" / "mse", tmp_path / "new" / "mse"]
    for run in runs:
        run.mkdir(parents=True)
        (run / "log.jsonl").write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 0.5}\n')
    drawn: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "save_figure", lambda figure, _: drawn.extend(_labels(figure)))
        plot.plot_runs(runs, tmp_path / "x.png")
    pyplot.close("all")
    assert drawn == [str(run) for run in runs]


def _labels(figure: Any) -> list[str]:
    return [line.get_label() for line in figure.axes[0].get_lines()]


def test_curves_are_drawn_from_the_log(straight: dict[str, Any], pack_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib")
    assert main(["plot", str(tmp_path)]) == 2  # nothing logged yet
    rows = [{"step": s, "loss": 1 / s, "bpp": 0.5, "psnr": 30.0, "lpips": 0.1} for s in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["plot", str(tmp_path)]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_logarithms_learn_at_a_rate_of_their_own(pack_folder: Path) -> None:
    model = PicoModel(make_architecture(ARCHITECTURE))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = MuonAdam(
        model.named_parameters(), Optimiser(muon_rate=0.0, adam_rate=1e-4, logarithm_rate=1e-2)
    )
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    moved = {name: float((value - before[name]).abs().max()) for name, value in model.named_parameters()}
    fast = {name for name, by in moved.items() if by > 5e-3}
    assert fast == {name for name in moved if "log_" in name or name == "scale_decoder.at16.bias"}
    assert moved["decoder.stage4.0.gain"] == pytest.approx(1e-4, rel=0.01)


def test_adam_is_that_of_torch_whatever_parameter_joins_late() -> None:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(size)) for size in ((3,), (4, 2), (5,))]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    named = [(str(index), parameter) for index, parameter in enumerate(ours)]
    optimisers = [MuonAdam(named, Optimiser(adam_rate=1e-3)), torch.optim.Adam(theirs, 1e-3, (0.9, 0.99))]
    for step in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a) if step or a is not ours[1] else None
            b.grad = None if a.grad is None else a.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-7)


def test_a_changed_rate_of_the_discriminator_holds_on_resuming(pack_folder: Path, tmp_path: Path) -> None:
    Trainer(small_config(pack_folder), tmp_path, Team()).save()
    trainer = Trainer(small_config(pack_folder, gan={"learning_rate": 5e-5}), tmp_path, Team())
    assert trainer.discriminator_optimiser is not None
    assert [group["lr"] for group in trainer.discriminator_optimiser.param_groups] == [5e-5]


def test_an_evaluation_that_was_killed_is_made_up_for(
    pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = mse_config(
        pack_folder, schedule={"steps": 2}, evaluation={"pictures": str(tmp_path), "every": 2}
    )
    evaluated: list[int] = []

    def killed(trainer: Trainer) -> dict[str, Any]:
        trainer.save()
        raise KeyboardInterrupt

    def done(trainer: Trainer) -> dict[str, Any]:
        evaluated.append(trainer.step)
        return {"step": trainer.step, "evaluation": {}}

    monkeypatch.setattr(engine, "_require_evaluation", lambda _: None)
    monkeypatch.setattr(engine, "_evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        train(Team(), config, tmp_path / "run", Limits())
    monkeypatch.setattr(engine, "_evaluate", done)
    for _ in range(2):
        train(Team(), config, tmp_path / "run", Limits())
    assert evaluated == [2]


def test_processes_share_out_the_matrices_of_a_step() -> None:
    class Apart(Team):
        """One of several processes, before they exchange anything."""

        def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
            pass

    torch.manual_seed(0)
    values = [torch.randn(size) for size in ((8, 4, 1, 1), (8, 4, 1, 1), (4, 8, 1, 1), (6, 6, 1, 1))]

    def moved_by(team: Team) -> list[torch.Tensor]:
        parameters = [torch.nn.Parameter(torch.zeros_like(value)) for value in values]
        for parameter, value in zip(parameters, values, strict=True):
            parameter.grad = value.clone()
        named = [(str(index), parameter) for index, parameter in enumerate(parameters)]
        MuonAdam(named, Optimiser(), team).step()
        return [parameter.detach() for parameter in parameters]

    alone, first, second = (moved_by(team) for team in (Team(), Apart(0, 2), Apart(1, 2)))
    assert [bool(part.any()) for part in first] == [True, False, True, False]
    assert [bool(part.any()) for part in second] == [False, True, False, True]
    for whole, *parts in zip(alone, first, second, strict=True):
        assert torch.allclose(whole, parts[0] + parts[1], atol=1e-4)


@pytest.mark.parametrize("fast", ["bfloat16", "float32"])
def test_precision_is_what_the_machine_is_fast_in(fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "best_precision", lambda: fast)
    native = {"bfloat16": True, "float32": False}[fast]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    chosen = {
        name: [
            precision_of(from_dict({"engine": {"precision": name}}), torch.device(d)) for d in ("cpu", "cuda")
        ]
        for name in ("auto", "bfloat16", "float32")
    }
    assert chosen["auto"] == [getattr(torch, fast)] * 2
    assert [set(chosen[name]) for name in ("bfloat16", "float32")] == [{torch.bfloat16}, {torch.float32}]
    with pytest.raises(OptionError, match="float16"):
        from_dict({"engine": {"precision": "float16"}})
