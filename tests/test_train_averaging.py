"""`pico-train average`: the mean of runs is what it says, trains on, and is refused where it means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_runs import make_pack, mse_config, one_thread  # noqa: F401

from pico_core.errors import OptionError
from pico_train.averaging import average
from pico_train.checkpoint import CheckpointError
from pico_train.cli import main
from pico_train.config import Config
from pico_train.engine import Limits, train
from pico_train.processes import Team
from pico_train.start import read_start


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return mse_config(make_pack(tmp_path_factory.mktemp("pack")))


@pytest.fixture(scope="module")
def runs(config: Config, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run, and a second one that began at its end."""
    folder = tmp_path_factory.mktemp("runs")
    train(Team(), config, folder / "first", Limits(steps=2))
    train(Team(), config, folder / "second", Limits(steps=2), folder / "first")
    return [folder / "first", folder / "second"]


def test_a_mean_of_runs_lies_between_them_and_trains_on(
    runs: list[Path], config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "mean.pt"
    arguments = ["average", *map(str, runs), "--shares", "1", "3", "--out", str(out)]
    assert main(arguments) == 0
    assert f"0.750  {runs[1]}" in capsys.readouterr().out
    first, second, mean = (read_start(path) for path in (*runs, out))
    assert any(not torch.equal(tensor, second.state[name]) for name, tensor in first.state.items())
    for name, tensor in mean.state.items():
        wanted = torch.lerp(first.state[name].double(), second.state[name].double(), 0.75)
        assert torch.allclose(tensor.double(), wanted, atol=1e-6)
        assert tensor.dtype == second.state[name].dtype
    assert mean.history[:-1] == second.history
    assert mean.history[-1] == {"phase": "average", "steps": 0, "shares": [0.25, 0.75]}
    train(Team(), config, tmp_path / "third", Limits(steps=1), out)
    assert [line["phase"] for line in read_start(tmp_path / "third").history] == [
        "mse",
        "mse",
        "average",
        "mse",
    ]


def test_shares_are_equal_unless_given(runs: list[Path], tmp_path: Path) -> None:
    assert average([*runs, runs[0]], (), tmp_path / "mean.pt") == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("shares", [(1,), (1, 0), (1, -1), (1, float("nan"))])
def test_shares_that_are_no_shares_are_refused(
    shares: tuple[float, ...], runs: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="--shares must be 2 numbers above 0"):
        average(runs, shares, tmp_path / "mean.pt")
    assert not list(tmp_path.iterdir())


def test_runs_of_another_range_or_architecture_are_refused(runs: list[Path], tmp_path: Path) -> None:
    pack = make_pack(tmp_path)
    for name, change in (
        ("ranges of lambda", {"rate": {"lambda_low": 0.001, "lambda_high": 0.01}}),
        ("architectures", {"architecture": {"wide": 24}}),
    ):
        other = tmp_path / name
        train(Team(), mse_config(pack, **change), other, Limits(steps=1))
        with pytest.raises(OptionError, match=f"their {name} differ"):
            average([runs[0], other], (), tmp_path / "mean.pt")
    with pytest.raises(OptionError, match="no checkpoint at"):
        average([runs[0], tmp_path / "missing"], (), tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()


def test_what_is_no_checkpoint_is_refused_without_advice_to_run_it(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"junk, and more of it")
    with pytest.raises(CheckpointError, match="restore it from a copy") as refused:
        average([runs[0], tmp_path / "junk.pt"], (), tmp_path / "mean.pt")
    assert "weights_only" not in str(refused.value)


def test_a_mean_never_takes_the_place_of_a_run(runs: list[Path], tmp_path: Path) -> None:
    before = [(run / "checkpoint.pt").read_bytes() for run in runs]
    for out in (runs[1] / "checkpoint.pt", runs[1], tmp_path / "checkpoint.pt"):
        with pytest.raises(OptionError, match="--out names a new file"):
            average(runs, (), out)
    assert before == [(run / "checkpoint.pt").read_bytes() for run in runs]
    assert not list(tmp_path.iterdir())
