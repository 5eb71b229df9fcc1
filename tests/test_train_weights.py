"""Weights keep their meaning: from checkpoint to model, to a file that ships, and back to training."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from training_runs import ARCHITECTURE, make_pack, mse_config, one_thread  # noqa: F401

from pico_bench.originals import Original
from pico_core import registry
from pico_core.arithmetic import ExactArithmetic
from pico_core.errors import OptionError, PicoError
from pico_core.graph import Z_LIMIT, Graph
from pico_core.reference import to_patches
from pico_train import evaluate, shipping
from pico_train.cli import main
from pico_train.config import read
from pico_train.engine import Limits, train
from pico_train.evaluate import EstimatedCodec
from pico_train.export import _hyper_frequencies
from pico_train.networks.alternatives import CONTEXTS, RESAMPLINGS
from pico_train.networks.folding import fold
from pico_train.networks.layers import Block, ConvScale, Transition
from pico_train.networks.model import Architecture, PicoModel
from pico_train.processes import Team
from pico_train.quantising import FloatArithmetic
from pico_train.shipping import Point, quality_scale
from pico_train.start import make_architecture, move_levels, read_start, starting_weights
from pico_train.unfolding import unfold

SMALL = make_architecture(ARCHITECTURE)
FIRST = Architecture(  # of the first runs
    latent=128, prior=256, pass_width=256, encoder_blocks=(3, 4), decoder_blocks=(4, 4)
)


def settled(architecture: Architecture) -> PicoModel:
    """A model whose weights follow from nothing but their names and shapes, on every machine."""
    model = PicoModel(architecture).eval()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(model.named_parameters()):
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + index)
            neutral = (
                1.0 if name.endswith(("scale_in", "scale_out")) else 0.5 if name.endswith("gain") else 0.0
            )
            fan_in = parameter[0].numel() if parameter.ndim == 4 else 1
            size = 0.05 if neutral or parameter.ndim < 4 else 1.2 / math.sqrt(fan_in)
            parameter.copy_((neutral + size * wave).view(parameter.shape))
    return model


def picture(height: int = 64, width: int = 128) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(x * 0.11 + y * 0.05 + c) * torch.cos(y * 0.09 - c) for c in range(3)]
    return (0.5 + 0.4 * torch.stack(waves))[None]


def test_the_network_keeps_its_names_and_shapes() -> None:
    """Checkpoints of every run so far depend on them."""
    state = PicoModel(FIRST).state_dict()
    described = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(state.items()))
    assert len(state) == 436
    assert hashlib.sha256(described.encode()).hexdigest()[:16] == "c98769ffb2e0862f"


def test_the_network_keeps_its_results() -> None:
    with torch.inference_mode():
        output, bits_y, bits_z = settled(FIRST)(picture(), torch.tensor([2.5]))
    found = [output.mean(), output.std(), output[0, 1, 20, 30], output[0, 2, 60, 100], bits_y[0], bits_z[0]]
    expected = [0.523364, 0.659181, 0.564162, 0.591615, 1.264208, 0.0311841]  # before alternatives existed
    assert [float(value) for value in found] == pytest.approx(expected, rel=1e-3)


def test_alternatives_add_nothing_to_the_default_checkpoint() -> None:
    names = set(PicoModel(SMALL).state_dict())
    assert set(PicoModel(make_architecture({**ARCHITECTURE, "conv_scale": False})).state_dict()) == names
    assert set(PicoModel(make_architecture({**ARCHITECTURE, "resampling": "pixel"})).state_dict()) == names


@pytest.mark.parametrize(
    "change",
    [
        *({"context": name} for name in CONTEXTS),
        *({"resampling": name} for name in RESAMPLINGS),
        {"learned_step": False},
        {"conv_scale": False},
        {"stage_scales": True},
    ],
    ids=lambda change: "-".join(map(str, change.popitem())) if change else "",
)
def test_every_alternative_trains_and_only_foldable_ones_fold(change: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = PicoModel(make_architecture({**ARCHITECTURE, **change})).train()
    output, bits_y, bits_z = model(torch.rand(2, 3, 64, 64), torch.tensor([0.5, 2.0]))
    assert output.shape == (2, 3, 64, 64)
    ((output - 0.5).square().mean() + bits_y.mean() + bits_z.mean()).backward()
    learning = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learning)
    if model.architecture.unfoldable:
        with pytest.raises(OptionError, match="cannot be shipped"):
            fold(model)
    else:
        fold(model)


@pytest.mark.parametrize("name", CONTEXTS)
def test_every_context_order_loses_nothing_and_takes_equal_parts(name: str) -> None:
    order, x = CONTEXTS[name], torch.randn(2, 8, 4, 6)
    parts = order.split(x)
    assert [tuple(part.shape) for part in parts] == [(2, 32 // order.passes, 2, 3)] * order.passes
    assert torch.equal(order.join(parts), x)


def test_scale_path_ignores_autocast() -> None:
    model, z = settled(SMALL), torch.randint(-9, 10, (1, 16, 2, 2)).float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.scale_decoder(z)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, model.scale_decoder(z))


def test_mixed_precision_rounds_nothing_between_the_residuals() -> None:
    model = settled(FIRST)
    found: dict[type, set[torch.dtype]] = {}
    for module in model.modules():
        if isinstance(module, ConvScale | Block):
            module.register_forward_hook(
                lambda module, _, output: found.setdefault(type(module), set()).add(output.dtype)
            )
    with torch.autocast("cpu", torch.bfloat16):
        model.decoder(torch.randn(1, FIRST.latent, 4, 4), torch.tensor([2.5]))
    assert found == {Transition: {torch.float32}, Block: {torch.float32}, ConvScale: {torch.bfloat16}}


def test_unknown_alternatives_are_refused() -> None:
    with pytest.raises(OptionError, match="context is 'all'"):
        Architecture(context="all")
    with pytest.raises(OptionError, match="known are"):
        make_architecture({"wider": 3})


def test_conv_scale_can_be_switched_off_without_moving() -> None:
    model = PicoModel(make_architecture({**ARCHITECTURE, "conv_scale": False}))
    scales = [m for m in model.modules() if isinstance(m, ConvScale)]
    assert not any(m.scale_in.requires_grad or m.scale_out.requires_grad for m in scales)


@pytest.fixture(scope="module")
def shipped() -> registry.Weights:
    return registry.get(registry.default_id())


def test_shipped_weights_become_a_model_that_computes_the_same(
    shipped: registry.Weights, photo: NDArray[np.uint8]
) -> None:
    model = unfold(shipped, make_architecture(shipped.metadata["architecture"])).eval()
    exact = Graph(ExactArithmetic(shipped.arrays))
    again = Graph(FloatArithmetic({n: a.numpy() for n, a in fold(model).items()}))
    patches, level = to_patches(photo[:128, :192]), 13_517
    symbols, z = exact.analyse(patches, level)
    with torch.inference_mode():
        symbols_again, z_again = again.analyse(torch.from_numpy(patches).float(), level)
        pixels = again.synthesise(torch.from_numpy(symbols).float(), torch.from_numpy(z).float(), level)
        tables = again.table_indices(torch.from_numpy(z).float())
    assert (z != z_again.numpy()).mean() < 0.01
    assert np.abs(symbols - symbols_again.numpy()).mean() < 0.05
    assert np.abs(pixels.numpy() - exact.synthesise(symbols, z, level)).mean() < 1
    assert np.abs(tables.numpy() - exact.table_indices(z)).max() <= 1


def test_weights_that_say_nothing_have_the_latents_that_they_have(tmp_path: Path) -> None:
    state = PicoModel(replace(Architecture(), latent=144)).state_dict()
    save_file(state, tmp_path / "nameless.safetensors")
    assert read_start(tmp_path / "nameless.safetensors").architecture.latent == 144


def test_shipped_weights_can_be_trained_further(shipped: registry.Weights) -> None:
    start = read_start(registry.SHIPPED / f"{shipped.id.hex()}.safetensors")
    assert start.architecture.to_dict().keys() == Architecture().to_dict().keys()
    PicoModel(start.architecture).load_state_dict(start.state)


def test_moving_levels_keeps_the_gain_at_every_lambda() -> None:
    old, new = (0.001, 0.06), (0.00025, 0.08)
    slope = torch.tensor([0.3, -0.2])

    def gains(span: tuple[float, float]) -> Tensor:
        lambdas = [math.log(span[0]) + i / 7 * math.log(span[1] / span[0]) for i in range(8)]
        return torch.stack([slope * value for value in lambdas])

    state = {"encoder.gain8.log_gain": gains(old), "other.weight": torch.ones(3)}
    moved = move_levels(state, old, new, 8)
    assert torch.allclose(moved["encoder.gain8.log_gain"], gains(new), atol=1e-5)
    assert torch.equal(moved["other.weight"], state["other.weight"])
    assert torch.equal(move_levels(state, old, old, 8)["encoder.gain8.log_gain"], gains(old))
    assert move_levels(state, old, new, 5)["encoder.gain8.log_gain"].shape == (5, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps of the tiny network."""
    folder = tmp_path_factory.mktemp("weights")
    train(Team(), mse_config(make_pack(folder)), folder / "run", Limits(steps=3))
    return folder / "run"


def test_a_run_starts_from_the_averaged_weights_of_another(run: Path, tmp_path: Path) -> None:
    start = read_start(run)
    assert start.architecture == SMALL
    config = mse_config(run.parent / "pack", rate={"lambda_low": 0.001, "lambda_high": 0.01})
    weights = starting_weights(start, config, run)
    assert torch.equal(weights["encoder.to_latent.weight"], start.state["encoder.to_latent.weight"])
    assert not torch.equal(weights["encoder.gain8.log_gain"], start.state["encoder.gain8.log_gain"])
    train(Team(), config, tmp_path, Limits(steps=1), run)
    history = read_start(tmp_path).history
    assert [(line["phase"], line["steps"]) for line in history] == [("mse", 3), ("mse", 1)]


def test_gains_that_are_not_trained_do_not_move(run: Path) -> None:
    start = read_start(run)
    assert start.lambda_range is not None
    low, high = start.lambda_range
    same_range = {"train_only": "scale_decoder.", "lambda_low": low, "lambda_high": high}
    weights = starting_weights(start, mse_config(run.parent / "pack", rate=same_range), run)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in start.state.items() if name in weights)
    other = {**same_range, "lambda_high": 2 * high}
    with pytest.raises(OptionError, match=f"--set rate.lambda_low={low:g} --set rate.lambda_high={high:g}"):
        starting_weights(start, mse_config(run.parent / "pack", rate=other), run)


def test_the_last_phase_fits_the_weights_of_the_one_before() -> None:
    rates = [read(name).rate for name in ("perceptual", "scales")]
    assert len({(rate.lambda_low, rate.lambda_high) for rate in rates}) == 1


def test_weights_of_another_architecture_are_refused(run: Path) -> None:
    config = mse_config(run.parent / "pack", architecture={"wide": 24})
    with pytest.raises(OptionError, match="do not fit"):
        starting_weights(read_start(run), config, run)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 broken"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_that_hold_no_weights_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(PicoError, match=r"weights|checkpoint"):
        read_start(path)


def test_a_plain_file_of_model_weights_is_accepted(tmp_path: Path) -> None:
    model = PicoModel()
    save_file(dict(model.state_dict()), tmp_path / "weights.safetensors")
    start = read_start(tmp_path / "weights.safetensors")
    assert start.lambda_range is None
    assert torch.equal(start.state["hyper_log_scale"], model.hyper_log_scale)


def test_quality_rises_in_equal_steps_of_bits_and_passes_over_bad_levels() -> None:
    bpp = [0.1, 0.2, 0.4, 0.8, 0.9, 1.6]
    mse = [90.0, 60.0, 40.0, 25.0, 26.0, 10.0]
    scale = quality_scale([Point(float(i), b, m) for i, (b, m) in enumerate(zip(bpp, mse, strict=True))])
    qualities, levels = zip(*scale, strict=True)
    assert qualities == tuple(range(0, 101, 5))
    assert (levels[0], levels[5], levels[10], levels[-1]) == (0.0, 1.0, 2.0, 5.0)
    assert all(a < b for a, b in itertools.pairwise(levels))


def test_hyperlatent_that_always_says_the_same_costs_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    seen = np.zeros((1, 2, 2 * Z_LIMIT + 1))
    seen[0, 0, Z_LIMIT + 3] = 6_400
    seen[0, 1] = np.bincount(
        rng.laplace(0, 4, 6_400).round().astype(int) + Z_LIMIT, minlength=2 * Z_LIMIT + 1
    )
    frequencies = _hyper_frequencies(seen)[0].astype(float)
    bits = -np.log2(frequencies / frequencies.sum(1, keepdims=True))
    assert bits[0, Z_LIMIT + 3] < 0.01
    assert bits[0, Z_LIMIT + 2] < 13, "and the first time that it says something else is no disaster"
    assert bits.max() <= 16
    used = seen[0, 1] / seen[0, 1].sum()
    entropy = -(used * np.log2(np.where(used > 0, used, 1))).sum()
    assert (used * bits[1]).sum() < entropy + 0.02


@pytest.mark.parametrize("what", ["nothing there", "no pictures", "too small", "--count 0"])
def test_tables_are_not_fitted_on_nothing(
    run: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    if what != "nothing there":
        photos.mkdir()
    if what == "too small":
        Image.new("RGB", (300, 40)).save(photos / "strip.png")
        (photos / "broken.jpg").write_bytes(b"\xff\xd8 no")
    if what == "--count 0":
        Image.new("RGB", (64, 64)).save(photos / "a.png")
    count = "0" if what == "--count 0" else "2"
    export = ["export", str(run), "--photos", str(photos), "--count", count, "--out", str(tmp_path / "w")]
    assert main(export) == 2
    assert ("--count is 0" if count == "0" else "holds no picture of 64 pixels") in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_broken_file_is_no_weights_to_evaluate(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(OptionError, match="no weights"):
        evaluate.codec_of(tmp_path / "w.safetensors", evaluate.Request(tmp_path))


def test_a_run_is_evaluated_with_tables_of_its_own_pictures_and_leaves_no_weights_behind(run: Path) -> None:
    loaded = set(registry._loaded)
    codec, facts = evaluate.codec_of(run, evaluate.Request(run.parent, count=1))
    assert bytes.fromhex(facts["weights"]) in registry._loaded
    codec.close()
    assert set(registry._loaded) == loaded


def test_weights_whose_quality_does_not_rise_do_not_become_the_default(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        shipping, "_problems", lambda *_: ["quality 5 over 0: MSE 9.00 is not less than 8.00"]
    )
    Image.new("RGB", (64, 64), (90, 120, 20)).save(tmp_path / "a.png")
    export = ["export", str(run), "--photos", str(tmp_path), "--count", "1", "--out", str(tmp_path / "w")]
    assert main([*export, "--default"]) == 1
    (weights,) = (tmp_path / "w").glob("*.safetensors")
    told = capsys.readouterr().err
    assert "quality scale: quality 5 over 0: MSE 9.00" in told
    assert "default.txt was not written" in told
    assert weights.stem in told
    assert not (tmp_path / "w" / "default.txt").exists()


def test_export_and_evaluate_work_on_real_files(
    run: Path, tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_problems", lambda *_: [])  # a run of three steps has some
    for package in ("matplotlib", "bjontegaard"):
        pytest.importorskip(package, reason="the report needs it")
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo[:192, :256]).save(tmp_path / "photos" / "photo.png")
    export = [
        "export",
        str(run),
        "--photos",
        str(tmp_path / "photos"),
        "--count",
        "1",
        "--out",
        str(tmp_path / "w"),
    ]
    assert main([*export, "--default"]) == 0
    (path,) = (tmp_path / "w").glob("*.safetensors")
    weights = registry.load(path)
    assert (tmp_path / "w" / "default.txt").read_text().strip() == path.stem == weights.id.hex()
    card = weights.metadata["card"]
    assert card["training"][-1]["steps"] == 3
    assert card["data"]["pictures"] == 2
    evaluate = [
        "evaluate",
        str(path),
        str(tmp_path / "photos"),
        "--levels",
        "3",
        "--out",
        str(tmp_path / "e" / "x"),
    ]
    assert main(evaluate) == 0
    report = json.loads((tmp_path / "e" / "x.json").read_text())
    assert report["bits"] == "of real files"
    assert set(report["curves"]) == {"pico", "AVIF", "JPEG"}
    assert len(report["curves"]["pico"]) == 3
    assert all(point["bpp"] > 0 for point in report["curves"]["pico"])
    assert (tmp_path / "e" / "x.png").read_bytes().startswith(b"\x89PNG")


def test_models_that_cannot_ship_are_evaluated_on_their_estimate(
    tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    pytest.importorskip("matplotlib", reason="the report needs it")
    config = mse_config(make_pack(tmp_path), architecture={"context": "none"})
    train(Team(), config, tmp_path / "run", Limits(steps=1))
    Image.fromarray(photo[:192, :192]).save(tmp_path / "photo.png")
    assert (
        main(
            ["evaluate", str(tmp_path / "run"), str(tmp_path), "--levels", "3", "--out", str(tmp_path / "x")]
        )
        == 0
    )
    assert '"bits": "estimated"' in (tmp_path / "x.json").read_text()


def test_estimates_are_measured_again_when_the_networks_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Original(Path("any.png"))
    model = PicoModel(make_architecture(ARCHITECTURE))
    before = EstimatedCodec(model, "weights", [1.0]).identity(original, "1")
    assert EstimatedCodec(model, "weights", [1.0]).identity(original, "1") == before
    monkeypatch.setattr(evaluate, "hash_of_sources", lambda folder: "other code")
    assert EstimatedCodec(model, "weights", [1.0]).identity(original, "1") != before
