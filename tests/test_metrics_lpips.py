"""LPIPS against the reference package, in windows against one piece, and its map."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_pictures import coarse, picture

from pico_core.errors import OptionError
from pico_core.tiling import Box
from pico_metrics import networks
from pico_metrics.lpips import layer_distances, lpips, lpips_map, map_of, worst_crop
from pico_metrics.networks import Network

NETWORKS: tuple[Network, ...] = ("alex", "squeeze")

REFERENCE_VALUES: dict[Network, float] = {"alex": 0.10651066899299622, "squeeze": 0.1436454802751541}
"""What lpips 0.1.4 gives for `picture()` and `coarse(picture())`, with its weights in float32."""


@pytest.mark.parametrize("network", NETWORKS)
def test_lpips_is_within_half_a_percent_of_the_reference_package(network: Network) -> None:
    value = lpips(picture(), coarse(picture()), network)
    assert value == pytest.approx(REFERENCE_VALUES[network], rel=0.005)


@pytest.mark.parametrize("network", NETWORKS)
def test_float16_weights_change_a_photograph_s_lpips_by_less_than_half_a_percent(
    network: Network, shared: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    distorted = coarse(photo[:300, :400])
    stored = lpips(photo[:300, :400], distorted, network)
    monkeypatch.setattr(networks, "WEIGHTS", shared / "weights")
    networks._tensors.cache_clear()
    try:
        exact = lpips(photo[:300, :400], distorted, network)
    finally:
        networks._tensors.cache_clear()
    assert stored != exact
    assert stored == pytest.approx(exact, rel=0.005)


@pytest.mark.parametrize("network", NETWORKS)
@settings(max_examples=8)
@given(st.integers(35, 300), st.integers(35, 300), st.sampled_from([32, 64, 112]))
def test_lpips_in_windows_is_lpips_in_one_piece(network: Network, width: int, height: int, core: int) -> None:
    reference = picture(width, height)
    distorted = coarse(reference)
    whole = layer_distances(reference, distorted, network)
    parts = layer_distances(reference, distorted, network, core=core)
    assert [d.shape for d in whole] == [d.shape for d in parts]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_map_is_zero_where_nothing_changed_and_its_mean_is_near_lpips(network: Network) -> None:
    reference = picture(512, 512)
    distorted = reference.copy()
    distorted[:128, 384:] = coarse(reference[:128, 384:])
    cells = lpips_map(reference, distorted, network)
    assert cells.shape == (32, 32)
    assert cells[24:].max() == cells[:, :10].max() == 0
    assert cells.mean() == pytest.approx(lpips(reference, distorted, network), rel=0.1)


def test_the_worst_crop_is_where_the_damage_is() -> None:
    reference = picture(640, 512)
    distorted = reference.copy()
    distorted[250:350, 400:500] = coarse(reference[250:350, 400:500], 64)
    crop = worst_crop(lpips_map(reference, distorted, "squeeze"), (512, 640), side=128)
    assert crop.box.left <= 416
    assert crop.box.right >= 484
    assert crop.box.top <= 266
    assert crop.box.bottom >= 334
    assert crop.score > 5 * lpips(reference, distorted, "squeeze")


def test_the_worst_crop_of_a_small_picture_is_the_picture() -> None:
    reference = picture(200, 90)
    distances = layer_distances(reference, coarse(reference), "alex")
    cells = map_of(distances, (90, 200))
    crop = worst_crop(cells, (90, 200), side=256)
    assert crop.box == Box(0, 0, 200, 90)
    assert crop.score == pytest.approx(float(cells.mean()))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_lpips_of_12_megapixels_takes_less_than_800_megabytes(network: Network) -> None:
    code = (
        "import resource, numpy as np, torch\n"
        "from pico_metrics.lpips import lpips\n"
        "a = np.arange(36_000_000, dtype=np.uint32).astype(np.uint8).reshape(3000, 4000, 3)\n"
        "b = a ^ 1\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"before = peak(); lpips(a, b, {network!r}); print((peak() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 50 < int(done.stdout) < 800


@pytest.mark.parametrize("side", [0, -16, 100])
def test_the_worst_crop_s_side_must_be_whole_cells(side: int) -> None:
    with pytest.raises(OptionError, match="multiple of 16"):
        worst_crop(np.zeros((4, 4), np.float32), (64, 64), side)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("size", [35, 63, 64, 65, 257])
def test_the_layers_have_as_many_positions_as_predicted(network: Network, size: int) -> None:
    outputs = list(networks.activations(network, picture(size, 35)))
    assert [output.shape[3] for output in outputs] == networks.positions(network, size)
    assert [output.shape[1] for output in outputs] == [head.shape[1] for head in networks.heads(network)]
