"""The ablations train every variant alike and compare each with what it differs from."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("bjontegaard", reason="needs the extra [bench]")

import numpy as np
from PIL import Image
from training_runs import ARCHITECTURE, make_pack, one_thread  # noqa: F401

from pico_core.errors import OptionError
from pico_train import ablations, checkpoint
from pico_train.config import read

SIZES = [f"architecture.{name}={value}" for name, value in ARCHITECTURE.items()]


@pytest.mark.parametrize("study", [ablations.NETWORKS, ablations.LOOKS], ids=lambda study: study.name)
def test_every_variant_is_a_config_that_differs_in_what_it_says(study: ablations.Study) -> None:
    budget = ablations.Budget(("pack",), 100, 128)
    configs = {v.name: read(study.config, [*budget.overrides(), *v.settings]) for v in study.variants}
    for variant in study.variants:
        assert variant.against in configs
        if variant.name != ablations.BASE:
            assert configs[variant.name] != configs[variant.against]
    assert len({repr(config) for config in configs.values()}) == len(configs)


def test_looks_are_not_studied_without_weights_to_go_on_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ablations.main(["--data", "pack", "--pictures", "pictures", "--out", "runs", "--study", "looks"])
    assert "needs --init" in capsys.readouterr().err


def test_page_gets_a_row_for_each_variant_and_the_rest_of_it_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    grain = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(grain).resize((128, 128), Image.Resampling.BICUBIC).save(pictures / "a.png")
    page = tmp_path / "ablations.md"
    page.write_text("# Ablations\n\nBy hand.\n", "utf-8")
    arguments = [
        *(
            "--data",
            str(make_pack(tmp_path / "training")),
            "--pictures",
            str(pictures),
            "--out",
            str(tmp_path / "runs"),
        ),
        *("--steps", "2", "--crop", "64", "--levels", "3", "--page", str(page)),
        *("--only", "strided", "--set", "batch=2", "--set", "micro_batch=2"),
        *(part for size in SIZES for part in ("--set", size)),
    ]
    assert ablations.main(arguments) == 0
    for change in (["--set", "rate.lambda_high=0.01"], ["--steps", "3"]):
        with pytest.raises(
            OptionError, match=r"holds a run of another study .*; delete it, or choose another"
        ):
            ablations.main([*arguments, *change])
    text = page.read_text("utf-8")
    assert text.startswith("# Ablations\n\nBy hand.\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == ["base", "random-start", "strided"]
    run = tmp_path / "runs" / "networks-strided"
    assert checkpoint.read(run / checkpoint.NAME)["step"] == 2
    written = (run / checkpoint.NAME).stat().st_mtime_ns
    assert ablations.main(arguments) == 0
    assert (run / checkpoint.NAME).stat().st_mtime_ns == written, "what is trained is not trained again"
    assert page.read_text("utf-8") == text
    assert "strided convolutions" in capsys.readouterr().out
