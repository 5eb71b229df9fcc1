"""The terms of the distortion, named as in the PICO paper (arXiv 2605.05148).

All take images (N, 3, H, W) of sRGB in [0, 1] (reconstructions may leave that range) and return one value for
each image, (N,) of float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PER_IMAGE = (1, 2, 3)
_BLOCK = 16  # pixels a side for each position of the latent
_FLAT = 4 / 255  # largest standard deviation of a block that is all flat


class MseLoss(nn.Module):
    """0.001 * 255^2 * mean (image - reference)^2.

    The factor makes `lambda * 255^2 * MSE`, the usual distortion of learned codecs, the plain product of this and
    `lambda / 0.001`.
    """

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W) -> (N,)."""
        return (image - reference).square().mean(_PER_IMAGE) * (0.001 * 255**2)


class TilingArtifactLoss(nn.Module):
    """L1 at several resolutions: sum over sizes s of mean |P_s(image) - P_s(reference)|.

    P_s is the mean over blocks of s x s pixels; blocks at the right and lower edge may be smaller. Unit: fraction
    of full scale.

    Source: PICO, "TilingArtifactLoss". Noise averages out in the blocks while a constant offset does not, so this
    term weighs a difference in brightness or colour between two tiles many times heavier than MSE does, which
    hardly sees it. Sizes and equal weights are ours.
    """

    def __init__(self, sizes: Sequence[int] = (8, 16, 32)):
        super().__init__()
        self._sizes = tuple(sizes)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W) -> (N,)."""
        error = image - reference
        total = torch.zeros(len(image), device=image.device)
        for size in self._sizes:
            means = F.avg_pool2d(error, size, ceil_mode=True, count_include_pad=False)
            total = total + means.abs().mean(_PER_IMAGE)
        return total


class GridArtifactLoss(nn.Module):
    """L1 of what is added to every flat block alike: mean |P|, times the share of flat blocks.

    P (3, 16, 16) is the mean error of the flat ones among an image's blocks of 16 x 16 pixels, which lie on the
    latent's grid from the first pixel on, less its own mean in each channel. A block counts as flat in full up to a
    standard deviation of 4 / 255 in the reference's busiest channel, falling to not at all at 8 / 255. Unit: fraction
    of full scale.

    Source: ours; `pico_metrics.patterns` is the measure that it is the loss for. Where the latent holds nothing but
    brightness, the cheapest grain is the same one in every block: LPIPS likes it better than none, squared error
    hardly minds it, and on skin it is the first thing that betrays the codec.
    """

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W), sides of at least 16 -> (N,)."""
        deviation = self._blocks(reference).std((3, 5)).amax(1)  # (N, rows, columns)
        flat = (2 - deviation / _FLAT).clamp(0, 1)[:, None, :, None, :, None]
        share = flat.mean((1, 2, 3, 4, 5))
        errors = self._blocks(image - reference) * flat
        pattern = errors.mean((2, 4)) / share.clamp_min(1e-6).view(-1, 1, 1, 1)
        pattern = pattern - pattern.mean((2, 3), keepdim=True)
        return share * pattern.abs().mean(_PER_IMAGE)

    @staticmethod
    def _blocks(image: Tensor) -> Tensor:
        """The whole blocks of (N,3,H,W), as (N,3,rows,16,columns,16)."""
        count, channels, height, width = image.shape
        rows, columns = height // _BLOCK, width // _BLOCK
        whole = image[..., : rows * _BLOCK, : columns * _BLOCK]
        return whole.reshape(count, channels, rows, _BLOCK, columns, _BLOCK)


class TextureLoss(nn.Module):
    """How far the strength of the finest details is from the original's: mean |R(image) - R(reference)|.

    The finest band is luma (BT.601) less its blur with the 5 x 5 binomial kernel: details of one or two pixels. R is
    the band's root mean square over blocks of 8 x 8 and of 16 x 16 pixels, each half over its neighbours; the value is
    the mean over both sizes. Unit: fraction of full scale.

    Source: ours; `pico_metrics.texture` is the measure that it is the loss for. A codec that cannot afford to place
    fine details where they are leaves them out, because squared error and deep features alike count misplaced ones
    twice. This term asks for as much of them as there was, wherever they lie inside a block.
    """

    _LUMA = (0.299, 0.587, 0.114)
    _STEPS = (4, 2)  # how many times smaller the squares become, and then again
    _LEAST = (
        1e-3**2
    )  # of a mean square, so that the root has a gradient where there is nothing: 0.25 steps of a byte

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("luma", torch.tensor(self._LUMA), persistent=False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W), sides of at least 16 -> (N,)."""
        squares = torch.cat([self._finest_band(image), self._finest_band(reference)]).square()
        total = torch.zeros(len(image), device=image.device)
        for step in self._STEPS:
            squares = F.avg_pool2d(squares, step)
            blocks = F.avg_pool2d(squares, 2, 1)  # half over each other
            ours, theirs = (blocks + self._LEAST).sqrt().chunk(2)
            total = total + (ours - theirs).abs().mean(_PER_IMAGE)
        return total / len(self._STEPS)

    def _finest_band(self, image: Tensor) -> Tensor:
        """(N,3,H,W) -> (N,1,H,W), the picture mirrored at its borders."""
        luma = (image.permute(0, 2, 3, 1) @ self.get_buffer("luma"))[:, None]
        blurred = F.pad(luma, (2, 2, 2, 2), mode="reflect")
        for axis in (2, 3):
            # The binomial kernel, (1 4 6 4 1) / 16, is that of (1 2 1) / 4 twice. Convolutions of a single channel
            # take ten times as long.
            for _ in range(2):
                length = blurred.shape[axis] - 2
                first, middle, last = (blurred.narrow(axis, start, length) for start in range(3))
                blurred = torch.lerp((first + last) / 2, middle, 0.5)
        return luma - blurred


class MaskedFidelityLoss(nn.Module):
    """L1 inside a mask of text or faces: mean over pixels of mask * |image - reference|.

    The mask, (N, 1, H, W) in [0, 1], is 1 on what it marks and falls off softly around it. The mean runs over all
    pixels, so an image with twice as much text counts twice, and none without text counts at all. Unit: fraction of
    full scale.

    Source: PICO, "TextFidelityLoss": heavy L1 where a text detector found text, and the adversarial loss subdued
    there, because a discriminator is content with strokes that look like letters. `shield` does the latter. That faces
    need weight of their own too is shown by PULSE (arXiv 2609.18602, table 8).
    """

    def forward(self, image: Tensor, reference: Tensor, mask: Tensor | None) -> Tensor:
        """Images (N,3,H,W) and mask -> (N,); zeros without a mask."""
        if mask is None:
            return torch.zeros(len(image), device=image.device)
        return (mask * (image - reference).abs()).mean(_PER_IMAGE)

    @staticmethod
    def shield(image: Tensor, mask: Tensor | None) -> Tensor:
        """The same image, for the discriminator: its gradient is multiplied by 1 - mask."""
        if mask is None:
            return image
        return torch.lerp(image, image.detach(), mask.expand_as(image))


class MsSsimLoss(nn.Module):
    """1 - MS-SSIM, 0 for equal images, up to 1.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", 2003:
    Gaussian window of 11 taps and sigma 1.5, K1 = 0.01, K2 = 0.03. The number of scales is that whose window still
    fits, at most five, with the paper's exponents scaled to add up to one. Channels are averaged at every scale.
    """

    _EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    _C1, _C2 = 0.01**2, 0.03**2

    def __init__(self) -> None:
        super().__init__()
        taps = torch.exp(-((torch.arange(11, dtype=torch.float32) - 5) ** 2) / (2 * 1.5**2))
        self.register_buffer("taps", (taps / taps.sum()).view(1, 1, 1, 11), persistent=False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W), sides of at least 11 -> (N,)."""
        a, b = image.clamp(0, 1), reference.clamp(0, 1)
        scales = [scale for scale in range(5) if min(image.shape[2:]) // 2**scale >= 11]
        exponents = self._EXPONENTS[: len(scales)]
        score = torch.ones(len(image), device=image.device)
        for scale, exponent in zip(scales, exponents, strict=True):
            if scale:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            term = self._similarity(a, b, with_luminance=scale == scales[-1]).mean(_PER_IMAGE)
            score = score * term.clamp_min(1e-4) ** (exponent / sum(exponents))
        return 1 - score

    def _similarity(self, a: Tensor, b: Tensor, with_luminance: bool) -> Tensor:
        blurred = self._blur(torch.cat([a, b, a * a + b * b, a * b], 1))
        mean_a, mean_b, squares, product = blurred.chunk(4, 1)
        means = mean_a * mean_a + mean_b * mean_b
        contrast = (2 * (product - mean_a * mean_b) + self._C2) / (squares - means + self._C2)
        if not with_luminance:
            return contrast
        return contrast * (2 * mean_a * mean_b + self._C1) / (means + self._C1)

    def _blur(self, x: Tensor) -> Tensor:
        # On CPUs depthwise convolutions are slow in every other layout, and so are those of a single channel.
        x = x.contiguous(memory_format=torch.channels_last)
        channels = x.shape[1]
        taps = self.get_buffer("taps").expand(channels, 1, 1, 11)
        return F.conv2d(F.conv2d(x, taps, groups=channels), taps.mT, groups=channels)


class _Fire(nn.Module):
    """SqueezeNet's block: a 1x1 convolution, then a 1x1 and a 3x3 side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


def _squeezenet() -> nn.Sequential:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    sizes = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)]
    sizes += [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)]
    fires = [_Fire(*size) for size in sizes]
    first = [nn.Conv2d(3, 64, 3, 2), nn.ReLU()]
    return nn.Sequential(*first, pool(), *fires[:2], pool(), *fires[2:4], pool(), *fires[4:])


class LpipsLoss(nn.Module):
    """LPIPS v0.1 with SqueezeNet: sum over layers of the mean over positions of w . (f(image) - f(reference))^2.

    f are a layer's activations with unit norm over channels, w the published non-negative weights. 0 for equal
    images, to about 1.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018; weights as
    `pico_metrics` ships them. The same network on AlexNet stays out of training, as a judge.
    """

    _TAPS = (1, 4, 7, 9, 10, 11, 12)

    def __init__(self) -> None:
        super().__init__()
        from safetensors.torch import load_file

        from pico_metrics.networks import WEIGHTS

        stored = {name: x.float() for name, x in load_file(WEIGHTS / "lpips-squeeze.safetensors").items()}
        self.features = _squeezenet()
        prefix = "features."
        self.features.load_state_dict(
            {k[len(prefix) :]: x for k, x in stored.items() if k.startswith(prefix)}
        )
        self.heads = nn.ParameterList(
            [nn.Parameter(stored[f"lin.{i}.weight"]) for i in range(len(self._TAPS))]
        )
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        self.register_buffer("gain", (2 / scale).view(1, 3, 1, 1))
        self.register_buffer("offset", ((-1 - shift) / scale).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Images (N,3,H,W), sides of at least 17 -> (N,)."""
        with torch.no_grad():
            targets = self._embed(reference)
        total = torch.zeros(len(image), device=image.device)
        for a, b, head in zip(self._embed(image), targets, self.heads, strict=True):
            total = total + F.conv2d((a - b) ** 2, head.to(a.dtype)).float().mean(_PER_IMAGE)
        return total

    def _embed(self, image: Tensor) -> list[Tensor]:
        gain, offset = self.get_buffer("gain"), self.get_buffer("offset")
        x = image * gain + offset
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._TAPS:
                outputs.append(x * torch.rsqrt((x * x).sum(1, keepdim=True) + 1e-10))
        return outputs
