"""What travels to a borrowed machine is enough to train there, and what comes back is enough to go on here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import ARCHITECTURE, make_pack, mse_config, one_thread  # noqa: F401

from pico_core.errors import OptionError
from pico_train import carrying, engine
from pico_train.carrying import CarryingError, carry, collect, send
from pico_train.cli import main
from pico_train.config import Schedule
from pico_train.engine import Limits, Trainer, train
from pico_train.optimiser import rate_factor
from pico_train.outlines import read_outlines
from pico_train.packs import Pack, Packing, pack
from pico_train.processes import Team
from pico_train.start import read_start

SMALL = ["--set", "batch=2", "--set", "micro_batch=2", "--set", "data.crop=64", "--set", "tiles.window=64",
         "--set", "losses.lpips.shift=0", "--set", "losses.lpips.sizes=[1.0]", "--set", "losses.resnet.weight=0",
         "--set", "losses.lpips.window=0", "--set", "engine.compile=false"]  # fmt: skip


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pack_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(Team(), mse_config(pack_folder, schedule={"steps": 2}), folder, Limits())
    return folder


def test_a_run_goes_away_and_comes_back(
    run: Path, pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_SENDS", 0)
    load, back, work = tmp_path / "load", tmp_path / "back", tmp_path / "work"
    assert main(["carry", str(run), "--data", str(pack_folder), "--mib", "3", "--out", str(load)]) == 0
    shutil.move(load, tmp_path / "there")
    there = ["away", str(tmp_path / "there"), "--minutes", "0.05", "--work", str(work), "--out", str(back)]
    assert main([*there, *SMALL]) == 0
    assert main(["collect", str(back), "--out", str(tmp_path / "away.pt")]) == 0
    start = read_start(tmp_path / "away.pt")
    before = read_start(run).state["decoder.stage4.0.expand.weight"]
    assert not torch.equal(start.state["decoder.stage4.0.expand.weight"], before)
    assert [entry["phase"] for entry in start.history] == ["mse", "perceptual"]
    on = Trainer(mse_config(pack_folder), tmp_path / "on", Team(), tmp_path / "away.pt")
    assert torch.isfinite(on.advance()["loss"])


def test_a_load_keeps_weights_pictures_and_outlines(run: Path, pack_folder: Path, tmp_path: Path) -> None:
    load = carry(run, [pack_folder], tmp_path / "load", 3 * 2**20)
    assert load.pictures == 2
    assert load.bytes <= 3 * 2**20
    kept, original = read_start(tmp_path / "load" / "weights.pt"), read_start(run)
    assert kept.lambda_range == original.lambda_range
    assert kept.architecture == original.architecture
    for name, tensor in original.state.items():
        assert torch.allclose(kept.state[name].float(), tensor, rtol=1e-3, atol=1e-6)
    there = tmp_path / "load" / "packs" / pack_folder.name
    assert read_outlines(there, "text") == read_outlines(pack_folder, "text")
    assert read_outlines(there, "faces") == read_outlines(pack_folder, "faces")


def test_pictures_that_do_not_fit_stay_behind_and_the_others_come_from_all_over(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(20):
        grain = np.random.default_rng(index).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(grain).save(tmp_path / "pictures" / f"{index:02}.png")
    room = 5 * 64 * 64 * 3 + 100
    assert pack([tmp_path / "pictures"], tmp_path / "pack", Packing(most_bytes=room)).photos == 5
    numbers = [int(Path(photo.entry.name).stem) for photo in Pack(tmp_path / "pack").photos]
    assert max(np.diff(sorted([-1, *numbers, 20]))) <= 8


def test_a_load_without_room_for_pictures_is_refused(run: Path, pack_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--mib"):
        carry(run, [pack_folder], tmp_path / "load", 2**20)
    assert not (tmp_path / "load").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(OptionError, match="exists"):
        carry(run, [pack_folder], tmp_path / "there", 2**30)


def state() -> dict[str, object]:
    return {
        "step": 7,
        "ema": {"a": torch.arange(5000.0)},
        "optimiser": {"large": torch.zeros(10**6)},
        **dict.fromkeys(("architecture", "config", "history", "pictures")),
    }


def test_what_comes_back_is_cut_into_parts_that_replace_the_ones_before(tmp_path: Path) -> None:
    send({**state(), "ema": {"a": torch.zeros(5000)}}, tmp_path / "back", 4096)
    send(state(), tmp_path / "back", 4096)
    parts = list((tmp_path / "back").glob("*.part"))
    assert 5 <= len(parts) <= 8
    assert all(part.stat().st_size <= 4096 for part in parts)
    assert collect(tmp_path / "back", tmp_path / "all.pt") == 7
    found = torch.load(tmp_path / "all.pt", weights_only=True)
    assert torch.equal(found["ema"]["a"], torch.arange(5000.0))
    assert "optimiser" not in found


@pytest.mark.parametrize("harm", ["lost", "changed", "no index"])
def test_parts_that_are_lost_or_damaged_are_named(tmp_path: Path, harm: str) -> None:
    send(state(), tmp_path / "back", 4096)  # type: ignore[arg-type]
    part = tmp_path / "back" / json.loads((tmp_path / "back" / "parts.json").read_text("utf-8"))["parts"][1]
    if harm == "lost":
        part.unlink()
    elif harm == "changed":
        part.write_bytes(part.read_bytes()[:-1] + b"?")
    else:
        (tmp_path / "back" / "parts.json").unlink()
    with pytest.raises(CarryingError, match="parts.json" if harm == "no index" else part.name):
        collect(tmp_path / "back", tmp_path / "all.pt")
    assert not (tmp_path / "all.pt").exists()


def test_a_schedule_of_minutes_falls_with_the_time_and_not_with_the_steps() -> None:
    schedule = Schedule(steps=10, warm_up=0, constant=0.5, final=0.1, minutes=8)
    assert [rate_factor(schedule, 10**6, minutes) for minutes in (0, 4, 8, 9)] == pytest.approx(
        [1, 1, 0.1, 0.1]
    )
    assert rate_factor(schedule, 10**6, 6) == pytest.approx(0.55)


def test_the_away_config_is_one_that_the_trainer_takes(run: Path, pack_folder: Path, tmp_path: Path) -> None:
    carry(run, [pack_folder], tmp_path / "load", 3 * 2**20)
    config = carrying.away_config(tmp_path / "load", tmp_path / "raw", "perceptual", 9.0, ())
    assert (config.batch, config.micro_batch, config.schedule.minutes) == (64, 64, 9.0)
    assert config.architecture["wide"] == ARCHITECTURE["wide"]
    with pytest.raises(OptionError, match="no load"):
        carrying.away_config(tmp_path / "nowhere", tmp_path / "raw", "perceptual", 9.0, ())
