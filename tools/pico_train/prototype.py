"""Reads checkpoints whose tensors carry the names of the flat prototype network."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_RENAMES = (
    (r"^enc8\.", "encoder.stage8."),
    (r"^enc16\.", "encoder.stage16."),
    (r"^to_latent\.", "encoder.to_latent."),
    (r"^hyper32\.", "encoder.stage32."),
    (r"^hyper64\.", "encoder.stage64."),
    (r"^gain_encoder\.", "encoder.gain8."),
    (r"^gain_latent\.", "encoder.gain_latent."),
    (r"^gain_hyper\.", "encoder.gain_hyper."),
    (r"^scale64\.", "scale_decoder.at64."),
    (r"^scale32\.1\.", "scale_decoder.at32."),
    (r"^scale16\.1\.", "scale_decoder.at16."),
    (r"^prior64\.", "context_decoder.stage64."),
    (r"^prior32\.", "context_decoder.stage32."),
    (r"^context\.", "context_model.steps."),
    (r"^from_latent\.", "decoder.from_latent."),
    (r"^dec16\.", "decoder.stage16."),
    (r"^dec8\.", "decoder.stage8."),
    (r"^dec4\.", "decoder.stage4."),
    (r"^gain_latent_inverse\.", "decoder.gain_latent."),
    (r"^gain_decoder\.", "decoder.gain8."),
)


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of `pico_core.networks.model.PicoModel`; names already new stay as they are."""
    renamed = {}
    for name, tensor in state.items():
        for old, new in _RENAMES:
            name, count = re.subn(old, new, name)
            if count:
                break
        renamed[name] = tensor
    return renamed
