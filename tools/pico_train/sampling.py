"""Which crops every step trains on: a pure function of the seed and the step.

Nothing here keeps a state, so a resumed run sees exactly the data that it would have seen, and so do several
processes that share a batch. A batch is divided into micro-batches, the unit that goes through the networks at a
time; its crops, levels and rounding noise depend on (seed, step, micro-batch) and not on who computes it.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pico_core.errors import OptionError
from pico_core.tiling import OVERLAP

from .config import Config
from .hardware import arranged
from .lettering import draw_letters
from .outlines import Outline, draw_mask, outlines_of
from .packs import Pack, PackError

Key: TypeAlias = tuple[int, ...]  # what a random choice depends on, after the seed

ARRANGEMENTS = ((2, 2), (1, 2), (2, 1))  # rows and columns of neighbouring tiles
_LARGEST_REDUCTION = 2.0
_RESIDENT_SHARE = 0.4  # of the accelerator's memory that training pictures may take


@dataclass(frozen=True)
class Group:
    """Crops of one size, for the networks and the losses."""

    pixels: Tensor  # (N, 3, H, W) float32 in [0, 1]
    masks: Mapping[
        str, Tensor
    ]  # (N, 1, H, W) float32 in [0, 1], 1 where `text` or `faces` are; without those that are empty
    level: Tensor  # (N,) float32
    tiles: tuple[int, int]  # (1, 1), or rows and columns of tiles that the crop is to be coded as
    share: float  # of the batch's loss

    def to(self, device: torch.device) -> Group:
        """The same group on another device."""
        if self.pixels.device == device:
            return self
        masks = {kind: mask.to(device, non_blocking=True) for kind, mask in self.masks.items()}
        pixels = self.pixels.to(device, non_blocking=True)
        return Group(pixels, masks, self.level.to(device, non_blocking=True), self.tiles, self.share)


@dataclass(frozen=True)
class _Source:
    """A training picture."""

    pixels: Tensor  # (height, width, 3) uint8, a view of the memory map or on the accelerator
    outlines: Mapping[str, Sequence[Outline]]  # of text and faces, those that losses need

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


class Batches:
    """Cuts micro-batches for a config from its packs. Raises PackError and OptionError for unusable packs."""

    def __init__(self, config: Config, levels: int, device: torch.device, folders: Sequence[Pack]):
        self._config, self._levels = config, levels
        losses = {"text": config.losses.text_fidelity, "faces": config.losses.face_fidelity}
        self._masked = [kind for kind, term in losses.items() if term.weight]
        self._device = _resident_device(device, folders)
        self._sources: list[_Source] = []
        pixels_of_pack: list[list[int]] = []
        for pack in folders:
            sources = list(self._load(pack))
            pixels_of_pack.append([s.pixels.shape[0] * s.pixels.shape[1] for s in sources])
            self._sources += sources
        self._weights = _weights(pixels_of_pack, config.data.shares)
        self._choices: dict[tuple[int, int], tuple[NDArray[np.int64], list[float]]] = {}

    def _load(self, pack: Pack) -> list[_Source]:
        if not pack.is_raw:
            msg = f"the pack {pack.folder} holds picture files; expand it: pico-train pack {pack.folder} --out RAW"
            raise PackError(msg)
        names = [photo.entry.name for photo in pack.photos]
        outlines = {kind: outlines_of(pack.folder, kind, names) for kind in self._masked}
        return [
            _Source(
                torch.from_numpy(photo.pixels()).to(self._device),
                {kind: found[photo.entry.name] for kind, found in outlines.items()},
            )
            for photo in pack.photos
        ]

    @cached_property
    def micro_batches(self) -> int:
        """Micro-batches in a batch."""
        return self._config.batch // self._config.micro_batch

    def micro_batch(self, step: int, index: int) -> Group:
        """A micro-batch: plain crops or, at a share of the steps, neighbouring tiles."""
        config = self._config
        first = index * config.micro_batch
        slots = list(range(first, first + config.micro_batch))
        share = len(slots) / config.batch
        if _is_tiled(step, config.tiles.share):
            return self._tile_group(step, index, slots, share)
        keys = [(step, slot) for slot in slots]
        levels = [self._level(step, slot) for slot in slots]
        return self._group(keys, levels, (config.data.crop, config.data.crop), (1, 1), share)

    def _tile_group(self, step: int, index: int, slots: list[int], share: float) -> Group:
        """Four tiles for every slot: one 2x2 arrangement, or two pairs."""
        rows, columns = ARRANGEMENTS[int(self._random(step, index, 1).integers(len(ARRANGEMENTS)))]
        pairs = 4 // (rows * columns)
        keys = [(step, slot, 1 + pair) for slot in slots for pair in range(pairs)]
        levels = [self._level(step, slot + pair / pairs) for slot in slots for pair in range(pairs)]
        height, width = (covered(count, self._config.tiles.window) for count in (rows, columns))
        return self._group(keys, levels, (height, width), (rows, columns), share)

    def _group(
        self,
        keys: Sequence[Key],
        levels: list[float],
        size: tuple[int, int],
        tiles: tuple[int, int],
        share: float,
    ) -> Group:
        crops = [self._crop(key, size) for key in keys]
        pixels = arranged(torch.cat([crop for crop, _ in crops]))
        masks, empty = {}, np.zeros(size, np.float32)
        for kind in {kind for _, found in crops for kind in found}:
            stacked = np.stack([found.get(kind, empty) for _, found in crops])
            masks[kind] = torch.from_numpy(stacked)[:, None].to(pixels.device)
        level = torch.tensor(levels, dtype=torch.float32, device=pixels.device)
        return Group(pixels, masks, level, tiles, share)

    def _level(self, step: int, slot: float) -> float:
        """Uniform in [0, levels - 1], and spread evenly over the slots of a batch."""
        offset = float(self._random(step).random())
        return (offset + slot / self._config.batch) % 1.0 * (self._levels - 1)

    def _random(self, *key: int) -> np.random.Generator:
        # Keys of different length must not meet: numpy pads seeds with zeros.
        return np.random.default_rng([self._config.seed, len(key), *key])

    def _crop(self, key: Key, size: tuple[int, int]) -> tuple[Tensor, dict[str, NDArray[np.float32]]]:
        """Pixels (1, 3, height, width) in [0, 1], and the masks (height, width) of what is near."""
        random = self._random(*key)
        source = self._choose(random, size)
        factor = 1.0
        room = min(side / wanted for side, wanted in zip(source.size, size, strict=True))
        if random.random() < self._config.data.reduced_share and room >= 1.3:
            factor = random.uniform(1, min(_LARGEST_REDUCTION, room))
        cut = [int(factor * side) for side in size]
        top, left = (
            int(random.integers(full - part + 1)) for full, part in zip(source.size, cut, strict=True)
        )
        mirrored = bool(random.random() < 0.5)
        pixels = source.pixels[top : top + cut[0], left : left + cut[1]].permute(2, 0, 1)[None].float() / 255
        if tuple(cut) != size:
            pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 1)
        masks: dict[str, NDArray[np.float32]] = {}
        scale_x, scale_y = size[1] / cut[1], size[0] / cut[0]
        for kind, outlines in source.outlines.items():
            moved = [[[(x - left) * scale_x, (y - top) * scale_y] for x, y in o] for o in outlines]
            if (mask := draw_mask(moved, size[1], size[0])) is not None:
                masks[kind] = mask[:, ::-1] if mirrored else mask
        if mirrored:
            pixels = pixels.flip(3)
        if source.outlines.get("text") and random.random() < self._config.data.recoloured_share:
            pixels = _recoloured(pixels, random)
        if random.random() < self._config.data.lettered_share:
            pixels, outlines = draw_letters(pixels, random)
            drawn = draw_mask(outlines, size[1], size[0])
            if drawn is not None and "text" in self._masked:
                masks["text"] = np.maximum(masks.get("text", drawn), drawn)
        return pixels, masks

    def _choose(self, random: np.random.Generator, size: tuple[int, int]) -> _Source:
        """A picture that is large enough, by the weights."""
        if size not in self._choices:
            fits = [i for i, s in enumerate(self._sources) if s.size[0] >= size[0] and s.size[1] >= size[1]]
            if not fits:
                msg = f"no training picture holds a crop of {size[1]}x{size[0]} pixels; use smaller crops or tiles"
                raise OptionError(msg)
            sums = list(itertools.accumulate(self._weights[i] for i in fits))
            self._choices[size] = (np.array(fits), sums)
        indices, sums = self._choices[size]
        position = bisect.bisect(sums, random.random() * sums[-1])
        return self._sources[int(indices[min(position, len(sums) - 1)])]


def _recoloured(pixels: Tensor, random: np.random.Generator) -> Tensor:
    """Pixels (N, 3, H, W) with their colour channels in another order, and each of them inverted or not."""
    order = [int(channel) for channel in random.permutation(3)]
    inverted = torch.tensor(random.random(3) < 0.5, device=pixels.device).view(1, 3, 1, 1)
    mixed = pixels[:, order]
    return torch.where(inverted, 1 - mixed, mixed)


def covered(count: int, window: int) -> int:
    """Pixels along a side of `count` neighbouring tiles of `window` pixels that share the codec's overlap."""
    return count * window - (count - 1) * OVERLAP


def _is_tiled(step: int, share: float) -> bool:
    """Every so many steps, evenly. All crops of a step have one size, because two would take a third more time."""
    return int((step + 1) * share) > int(step * share)


def _weights(pixels_of_pack: list[list[int]], shares: Sequence[float]) -> list[float]:
    """How often each picture is drawn: by its pixels, and packs among themselves by their shares if given."""
    weights = []
    for index, pixels in enumerate(pixels_of_pack):
        factor = shares[index] / sum(pixels) if shares else 1.0
        weights += [factor * count for count in pixels]
    return weights


def _resident_device(device: torch.device, packs: Sequence[Pack]) -> torch.device:
    """Where pixels are kept: on the accelerator if they fit there, else in the memory map."""
    if device.type != "cuda":
        return torch.device("cpu")
    memory = torch.cuda.get_device_properties(device).total_memory
    fits = sum(pack.megapixels for pack in packs) * 3e6 <= _RESIDENT_SHARE * memory
    return device if fits else torch.device("cpu")


class Prefetcher:
    """Cuts the next micro-batch in a thread while the device computes this one."""

    def __init__(self, batches: Batches):
        self._batches = batches
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="crops")
        self._next: tuple[Key, Future[Group]] | None = None

    def micro_batch(self, step: int, index: int) -> Group:
        """What `Batches.micro_batch` returns."""
        if self._next is not None and self._next[0] == (step, index):
            group = self._next[1].result()
        else:
            group = self._batches.micro_batch(step, index)
        following = (step, index + 1) if index + 1 < self._batches.micro_batches else (step + 1, 0)
        self._next = (following, self._pool.submit(self._batches.micro_batch, *following))
        return group
