"""Training data: packs keep every pixel, and what a step sees depends on nothing but the seed and the step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pico_core.errors import OptionError
from pico_train.config import Config, from_dict
from pico_train.detection import find_in_pack
from pico_train.outlines import OutlinesError, draw_mask, read_outlines, write_outlines
from pico_train.packs import Pack, PackError, Packing, pack, spread, summary_of
from pico_train.sampling import Batches, Group, Prefetcher

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    """Five pictures of different sizes and kinds, one of them damaged, and a manifest beside them."""
    base = tmp_path_factory.mktemp("data")
    photos = base / "photos"
    (photos / "more").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.png", "more/c.png")):
        Image.fromarray(photo[40 * index :, : 400 - 50 * index]).save(photos / name)
    Image.fromarray(photo[:200, :300]).save(photos / "d.webp", quality=90)
    (photos / "e.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    rows = ["file,licence", "photos/a.png,CC0 (stated in README)", "photos/b.png,CC0", "photos/d.webp,MIT"]
    (base / "MANIFEST.csv").write_text("\n".join(rows))
    return photos


@pytest.fixture(scope="module")
def raw(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs") / "raw"
    pack([folder], out, Packing(part_bytes=800_000))
    return out


@pytest.mark.parametrize("count", [1, 3, 400, 1367, 1368, 2000])
def test_a_choice_spreads_over_all_there_is(count: int) -> None:
    chosen = spread(range(1368), count)
    assert len(chosen) == len(set(chosen)) == min(count, 1368)
    gaps = {after - before for before, after in pairwise([*chosen, 1368])}
    assert max(gaps) - min(gaps) <= 1


def test_packs_keep_every_pixel_in_parts_of_limited_size(folder: Path, raw: Path) -> None:
    found = Pack(raw)
    assert [photo.entry.name for photo in found.photos] == [
        "photos/a.png", "photos/b.png", "photos/d.webp", "photos/more/c.png",
    ]  # fmt: skip
    for photo in found.photos:
        with Image.open(folder.parent / photo.entry.name) as image:
            assert np.array_equal(photo.pixels(), np.asarray(image.convert("RGB")))
    assert len(list(raw.iterdir())) > 1
    assert all(part.stat().st_size <= 800_000 for part in raw.iterdir())


def test_pictures_that_cannot_be_read_are_named_not_packed(folder: Path, tmp_path: Path) -> None:
    done = pack([folder], tmp_path / "pack", Packing())
    assert done.photos == 4
    assert len(done.left_out) == 1
    assert "e.jpg" in done.left_out[0]


def test_small_packs_of_picture_files_expand_elsewhere(folder: Path, raw: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    pack([folder], small, Packing(max_side=200, webp_quality=80))
    size = sum(part.stat().st_size for part in small.iterdir())
    assert size < sum(part.stat().st_size for part in raw.iterdir()) / 10
    pack([small], tmp_path / "expanded", Packing())
    for a, b in zip(Pack(small).photos, Pack(tmp_path / "expanded").photos, strict=True):
        assert b.entry.encoding == "raw"
        assert max(b.pixels().shape) == 200
        assert np.array_equal(a.pixels(), b.pixels())


def test_picture_files_that_need_no_change_are_packed_as_they_are(folder: Path, tmp_path: Path) -> None:
    pack([folder], tmp_path / "pack", Packing(webp_quality=80))
    (photo,) = (p for p in Pack(tmp_path / "pack").photos if p.entry.name.endswith("d.webp"))
    assert photo.stored.tobytes() == (folder / "d.webp").read_bytes()


def test_licences_come_from_the_manifest(raw: Path) -> None:
    assert summary_of([Pack(raw)])["licences"] == {"CC0": 2, "MIT": 1, "not stated": 1}


def test_a_pack_is_never_mixed_with_another(folder: Path, raw: Path) -> None:
    with pytest.raises(OptionError, match="already holds a pack"):
        pack([folder], raw, Packing())


@pytest.mark.parametrize("damage", ["cut", "magic", "header"])
def test_damaged_parts_are_reported(raw: Path, tmp_path: Path, damage: str) -> None:
    part = sorted(raw.iterdir())[0]
    content = part.read_bytes()
    broken = {
        "cut": content[:-10_000],
        "magic": b"X" + content[1:],
        "header": content[:20] + b"\0" + content[21:],
    }
    (tmp_path / part.name).write_bytes(broken[damage])
    with pytest.raises(PackError, match=part.name):
        Pack(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"size": 7},
        {"height": -1},
        {"offset": None},
        {"offset": -5},
        {"width": "2"},
        {"encoding": "zip"},
        {"name": 3},
    ],
)
def test_an_index_that_cannot_be_is_reported(raw: Path, tmp_path: Path, change: dict[str, object]) -> None:
    part = sorted(raw.iterdir())[0]
    content = part.read_bytes()
    length = int.from_bytes(content[8:16], "little")
    header = json.loads(content[16 : 16 + length])
    header["entries"][0].update(change)
    changed = json.dumps(header).encode()
    spoilt = content[:8] + len(changed).to_bytes(8, "little") + changed
    (tmp_path / part.name).write_bytes(spoilt.ljust(4096, b"\0") + content[4096:])
    with pytest.raises(PackError, match=part.name):
        Pack(tmp_path)


def test_a_pack_that_was_killed_holds_nothing_and_the_same_command_makes_it(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pack"
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom pico_train import packs\n"
        "packs._Masks.write = lambda *_: os._exit(9)  # every part is written, none is in its place\n"
        "packs.pack([Path(sys.argv[1])], Path(sys.argv[2]), packs.Packing(part_bytes=300_000))\n"
    )
    assert subprocess.run([sys.executable, "-c", program, folder, out], check=False).returncode == 9
    with pytest.raises(PackError, match="was not finished"):
        Pack(out)
    assert pack([folder], out, Packing()).photos == 4
    assert len(Pack(out).photos) == 4


def test_a_pack_stopped_while_its_parts_move_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, moved = Path.replace, []

    def stopped(path: Path, target: Path) -> Path:
        if target.parent == tmp_path / "pack":
            moved.append(target)
            if len(moved) == 2:
                raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        pack([folder], tmp_path / "pack", Packing(part_bytes=300_000))
    assert len(moved) == 2
    assert not list((tmp_path / "pack").iterdir())


def test_outlines_of_an_earlier_pack_are_not_taken_for_those_of_a_new_one(
    folder: Path, tmp_path: Path
) -> None:
    write_outlines(tmp_path, "faces", {})
    with pytest.raises(OptionError, match="text-masks"):
        pack([folder], tmp_path, Packing())


def test_a_pack_that_failed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="none of the folders"):
        pack([tmp_path / "empty"], tmp_path / "pack", Packing())
    assert not list((tmp_path / "pack").iterdir())


def test_pictures_of_one_name_are_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"two pictures would be called photos/a\.png"):
        pack([folder, folder], tmp_path / "pack", Packing())
    assert not (tmp_path / "pack").exists()


def test_deep_pictures_are_left_out_and_transparency_shows_white(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    ramp = np.linspace(0, 65_535, 100 * 100).reshape(100, 100).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "odd" / "deep.png")
    Image.new("RGBA", (100, 100), (255, 0, 0, 0)).save(tmp_path / "odd" / "hidden.png")
    done = pack([tmp_path / "odd"], tmp_path / "pack", Packing())
    assert [line.partition(":")[0] for line in done.left_out] == ["odd/deep.png"]
    assert "more than 8 bits" in done.left_out[0]
    (photo,) = Pack(tmp_path / "pack").photos
    assert photo.pixels().min() == 255


def test_folders_without_a_pack_say_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="pico-train pack"):
        Pack(tmp_path)


def config(**changes: object) -> Config:
    values: dict[str, object] = {"batch": 4, "micro_batch": 2, "data": {"crop": 64}, **changes}
    return from_dict(values)


def equal(a: Group, b: Group) -> bool:
    return torch.equal(a.pixels, b.pixels) and torch.equal(a.level, b.level)


def test_every_step_sees_the_same_crops_whatever_came_before(raw: Path) -> None:
    first = Batches(config(), 8, CPU, [Pack(raw)])
    straight = [first.micro_batch(step, index) for step in range(3) for index in range(2)]
    assert equal(Batches(config(), 8, CPU, [Pack(raw)]).micro_batch(2, 1), straight[-1])
    assert not equal(straight[0], straight[1])
    assert not equal(straight[0], straight[2])
    assert not equal(Batches(config(seed=1), 8, CPU, [Pack(raw)]).micro_batch(0, 0), straight[0])


def test_prefetching_changes_nothing(raw: Path) -> None:
    batches = Batches(config(), 8, CPU, [Pack(raw)])
    ahead = Prefetcher(batches)
    for step, index in ((0, 0), (0, 1), (1, 0), (5, 1), (6, 0)):
        assert equal(ahead.micro_batch(step, index), batches.micro_batch(step, index))


def test_levels_of_a_batch_cover_the_range_evenly(raw: Path) -> None:
    batches = Batches(config(), 8, CPU, [Pack(raw)])
    levels = torch.cat([batches.micro_batch(7, index).level for index in range(2)])
    gaps = levels.sort().values.diff()
    assert torch.allclose(gaps, torch.full((3,), 7 / 4), atol=1e-4)


def test_tiles_take_their_share_of_the_steps(raw: Path) -> None:
    batches = Batches(config(tiles={"share": 0.5, "window": 64}), 8, CPU, [Pack(raw)])
    groups = [batches.micro_batch(step, 0) for step in range(60)]
    tiled = [group for group in groups if group.tiles != (1, 1)]
    assert len(tiled) == 30
    assert {group.share for group in groups} == {0.5}
    for group in tiled:
        rows, columns = group.tiles
        assert tuple(group.pixels.shape[2:]) == (56 * rows + 8, 56 * columns + 8)
        assert len(group.pixels) * rows * columns == 8
    assert {group.tiles for group in tiled} == {(2, 2), (1, 2), (2, 1)}


def test_shares_decide_how_often_a_pack_is_drawn_from(raw: Path, tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.mkdir()
    Image.new("RGB", (80, 80)).save(black / "x.png")
    pack([black], tmp_path / "pack", Packing())
    packs = [Pack(raw), Pack(tmp_path / "pack")]
    shared = config(data={"crop": 64, "packs": ["a", "b"], "shares": [0.5, 0.5]})

    def black_crops(c: Config) -> int:
        batches = Batches(c, 8, CPU, packs)
        crops = (batches.micro_batch(step, 0).pixels for step in range(40))
        return sum(int((pixels.amax((1, 2, 3)) == 0).sum()) for pixels in crops)

    assert 25 <= black_crops(shared) <= 55
    assert black_crops(config()) < 10


@pytest.mark.parametrize("kind", ["text", "face"])
def test_packs_without_outlines_cannot_train_the_losses_that_need_them(raw: Path, kind: str) -> None:
    wanted = config(phase="perceptual", losses={f"{kind}_fidelity": {"weight": 1.0}})
    with pytest.raises(OutlinesError, match=f"pico-train {kind}-masks"):
        Batches(wanted, 8, CPU, [Pack(raw)])


def test_crops_too_large_for_every_picture_are_refused(raw: Path) -> None:
    with pytest.raises(OptionError, match="use smaller crops"):
        Batches(config(data={"crop": 1024}), 8, CPU, [Pack(raw)]).micro_batch(0, 0)


@pytest.fixture(scope="module")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of one black picture with one white rectangle, which is outlined as text."""
    base = tmp_path_factory.mktemp("sign")
    pixels = np.zeros((160, 200, 3), np.uint8)
    pixels[70:90, 60:140] = 255
    (base / "pictures").mkdir()
    Image.fromarray(pixels).save(base / "pictures" / "sign.png")
    pack([base / "pictures"], base / "pack", Packing())
    outline = [[60.0, 70.0], [140.0, 70.0], [140.0, 90.0], [60.0, 90.0]]
    write_outlines(base / "pack", "text", {"pictures/sign.png": [outline]})
    return base / "pack"


def test_text_masks_follow_crop_scale_and_mirror(sign: Path) -> None:
    wanted = config(
        phase="perceptual",
        losses={"text_fidelity": {"weight": 1.0}},
        data={"crop": 64, "reduced_share": 0.7},
    )
    batches = Batches(wanted, 8, CPU, [Pack(sign)])
    seen = 0
    for step in range(20):
        group = batches.micro_batch(step, 0)
        if not group.masks:
            continue
        mask = group.masks["text"]
        white = group.pixels[:, :1] > 0.98
        assert mask[white].numel() == 0 or mask[white].min() > 0.5
        far = torch.nn.functional.max_pool2d(white.float(), 31, 1, 15) == 0
        assert mask[far & (group.pixels[:, :1] < 0.02)].sum() <= 0.02 * mask.sum() + 1e-3
        seen += int(white.any())
    assert seen > 5


def test_text_is_seen_in_other_colours_and_pictures_without_text_are_not(sign: Path, raw: Path) -> None:
    with_text = {"phase": "perceptual", "losses": {"text_fidelity": {"weight": 1.0}}}

    def crops(folder: Path, share: float) -> list[torch.Tensor]:
        data = {"crop": 64, "recoloured_share": share}
        wanted = config(data=data, **(with_text if folder == sign else {}))
        batches = Batches(wanted, 8, CPU, [Pack(folder)])
        return [batches.micro_batch(step, 0).pixels for step in range(4)]

    plain, other = torch.cat(crops(sign, 0)), torch.cat(crops(sign, 1))
    assert torch.equal(plain, plain[:, :1].expand_as(plain)), "the sign has no colour"
    as_it_was = (other - plain[:, :1]).abs().amax((2, 3)) < 1e-6
    inverted = (other - (1 - plain[:, :1])).abs().amax((2, 3)) < 1e-6
    assert (as_it_was ^ inverted).all(), "it is the same text in the same place"
    assert (inverted.any(1) & as_it_was.any(1)).any(), "and now it is coloured"
    assert all(torch.equal(a, b) for a, b in zip(crops(raw, 0), crops(raw, 1), strict=True))


def test_text_masks_have_soft_edges() -> None:
    mask = draw_mask([[[30.0, 30.0], [90.0, 30.0], [90.0, 60.0], [30.0, 60.0]]], 128, 96)
    assert mask is not None
    assert mask.shape == (96, 128)
    assert mask[45, 60] > 0.99
    assert mask[5, 5] == 0
    assert np.abs(np.diff(mask, axis=1)).max() < 0.25
    assert draw_mask([[[300.0, 30.0], [390.0, 30.0], [390.0, 60.0], [300.0, 60.0]]], 128, 96) is None


def test_outlines_travel_with_their_pictures_and_shrink_with_them(sign: Path, tmp_path: Path) -> None:
    pack([sign], tmp_path / "half", Packing(max_side=100))
    outlines = read_outlines(tmp_path / "half", "text")
    assert outlines is not None
    assert outlines["pictures/sign.png"][0][1] == [70.0, 35.0]


def test_letters_are_drawn_into_a_share_of_the_crops_and_marked(raw: Path) -> None:
    def groups(share: float) -> list[Group]:
        wanted = config(
            phase="perceptual",
            losses={"text_fidelity": {"weight": 1.0}},
            data={"crop": 64, "lettered_share": share},
        )
        write_outlines(raw, "text", {photo.entry.name: [] for photo in Pack(raw).photos})
        batches = Batches(wanted, 8, CPU, [Pack(raw)])
        return [batches.micro_batch(step, 0) for step in range(12)]

    plain, lettered = groups(0), groups(1)
    assert not any(group.masks for group in plain)
    marked = 0
    for before, after in zip(plain, lettered, strict=True):
        changed = (before.pixels - after.pixels).abs().amax(1, keepdim=True) > 0.02
        assert after.pixels.min() >= 0
        assert after.pixels.max() <= 1
        assert "text" in after.masks
        assert after.masks["text"][changed].min() > 0.5
        marked += int(changed.any())
    assert marked == 12
    assert len({group.pixels.sum().item() for group in lettered}) == 12


def test_faces_are_found_in_a_pack_and_outlined(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    people = Path(__file__).parent / "pictures" / "two-faces.jpg"
    shutil.copy(people, tmp_path / "pictures")
    Image.new("RGB", (320, 160), "grey").save(tmp_path / "pictures" / "plain.png")
    pack([tmp_path / "pictures"], tmp_path / "pack", Packing())
    assert find_in_pack(tmp_path / "pack", "faces") == (2, 1)
    outlines = read_outlines(tmp_path / "pack", "faces")
    assert outlines is not None
    assert outlines["pictures/plain.png"] == []
    first = np.array(sorted(outlines["pictures/two-faces.jpg"])[0])
    assert first.mean(0) == pytest.approx([84, 122], abs=10)


def test_text_is_found_where_text_is(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the text detector is not installed")
    from PIL import ImageDraw, ImageFont

    (tmp_path / "pictures").mkdir()
    page = Image.new("RGB", (320, 160), "white")
    ImageDraw.Draw(page).text((40, 60), "Platform 9", "black", ImageFont.load_default(36))
    page.save(tmp_path / "pictures" / "page.png")
    Image.new("RGB", (320, 160), "grey").save(tmp_path / "pictures" / "plain.png")
    pack([tmp_path / "pictures"], tmp_path / "pack", Packing())
    assert find_in_pack(tmp_path / "pack", "text") == (2, 1)
    outlines = read_outlines(tmp_path / "pack", "text")
    assert outlines is not None
    xs, ys = zip(*outlines["pictures/page.png"][0], strict=True)
    assert 20 < min(xs) < 60
    assert 45 < min(ys) < max(ys) < 115
