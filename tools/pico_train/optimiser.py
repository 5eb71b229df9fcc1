"""The optimiser (Muon for dense matrices, Adam for the rest), its schedule, and averaged weights.

Muon orthogonalises the momentum of each weight matrix with a Newton-Schulz iteration (Jordan et al., 2024).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .config import Optimiser, Schedule
from .processes import Team

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the iteration, from its authors
_ADAM_BETAS = (0.9, 0.99)
_MOMENTUM = 0.95
_LOGARITHMS = ("log_gain", "hyper_log_scale", "scale_decoder.at16.bias")


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Matrices (B, rows, columns) -> about the nearest matrices whose singular values are all 1."""
    a, b, c = _NEWTON_SCHULZ
    x: Tensor = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class MuonAdam(torch.optim.Optimizer):
    """Muon on the convolutions that are dense matrices, Adam on all other parameters that require gradients.

    The processes of a team, whose gradients are equal, share the matrices out and exchange what comes of them.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        settings: Optimiser,
        team: Team | None = None,
        precision: torch.dtype = torch.float32,
    ):
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        logarithms: list[
            Tensor
        ] = []  # steps of a few thousandths for thousands of steps would hardly move them
        for name, parameter in named:
            if parameter.requires_grad:
                dense, is_logarithm = _is_dense(name, parameter), name.endswith(_LOGARITHMS)
                (matrices if dense else logarithms if is_logarithm else others).append(parameter)
        rates = (
            ("muon", matrices, settings.muon_rate),
            ("adam", others, settings.adam_rate),
            ("adam", logarithms, settings.logarithm_rate or settings.adam_rate),
        )
        groups = [{"params": p, "kind": kind, "lr": rate} for kind, p, rate in rates if p]
        super().__init__(groups, {})
        self._rates = [rate for _, p, rate in rates if p]
        self._team = team or Team()
        self._precision = precision  # of Muon's iteration, which bfloat16 is enough for

    def set_factor(self, factor: float) -> None:
        """Set the learning rates to `factor` times those of the config."""
        for group, rate in zip(self.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            (self._muon if group["kind"] == "muon" else self._adam)(parameters, group["lr"])

    def _muon(self, parameters: list[Tensor], rate: float) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, update in zip(parameters, torch._foreach_lerp(gradients, momenta, _MOMENTUM), strict=True):
            by_shape[tuple(update.flatten(1).shape)].append((p, update.flatten(1)))
        stacks = [
            torch.stack([update for _, update in members]).to(self._precision)
            for members in by_shape.values()
        ]
        for members, updates in zip(by_shape.values(), self._orthogonalised(stacks), strict=True):
            rows, columns = updates.shape[1:]
            gain = max(1.0, rows / columns) ** 0.5
            moves = [update.view(p.shape) for (p, _), update in zip(members, updates.float(), strict=True)]
            torch._foreach_add_([p for p, _ in members], moves, alpha=-rate * gain)

    def _orthogonalised(self, stacks: list[Tensor]) -> list[Tensor]:
        """Stacks (B, rows, columns) of matrices, orthogonalised, every process of the team doing its share."""
        results, count = [], 0
        for stack in stacks:
            mine = slice((self._team.rank - count) % self._team.size, None, self._team.size)
            result = torch.zeros_like(stack)
            result[mine] = orthogonalise(stack[mine])
            results.append(result)
            count += len(stack)
        self._team.add_up(results)
        return results

    def _adam(self, parameters: list[Tensor], rate: float) -> None:
        by_step: dict[int, list[Tensor]] = defaultdict(list)
        for p in parameters:
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            by_step[state["step"]].append(p)
        for step, members in by_step.items():
            self._adam_together(members, step, rate)

    def _adam_together(self, parameters: list[Tensor], step: int, rate: float) -> None:
        """Adam on parameters that are in their `step`th step; an accelerator takes all of them in one call each."""
        beta_mean, beta_square = _ADAM_BETAS
        gradients = [p.grad for p in parameters if p.grad is not None]
        means, squares = ([self.state[p][name] for p in parameters] for name in ("mean", "square"))
        torch._foreach_lerp_(means, gradients, 1 - beta_mean)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta_square)
        mean = torch._foreach_div(means, 1 - beta_mean**step)
        root = torch._foreach_sqrt(torch._foreach_div(squares, 1 - beta_square**step))
        torch._foreach_add_(root, 1e-8)
        torch._foreach_addcdiv_(parameters, mean, root, -rate)


def _is_dense(name: str, parameter: Tensor) -> bool:
    scales = name.endswith(("scale_in", "scale_out"))
    return parameter.ndim == 4 and min(parameter.shape[:2]) > 1 and not scales


def rate_factor(schedule: Schedule, step: int, minutes: float = 0.0) -> float:
    """Factor on the learning rates at a step, `minutes` after the first: warm-up, constant, cosine fall to `final`."""
    warm = min(1.0, (step + 1) / max(1, schedule.warm_up))
    progress = min(1.0, minutes / schedule.minutes if schedule.minutes else step / schedule.steps)
    if progress <= schedule.constant or schedule.constant >= 1:
        return warm
    fall = 0.5 + 0.5 * math.cos(math.pi * (progress - schedule.constant) / (1 - schedule.constant))
    return warm * (schedule.final + (1 - schedule.final) * fall)


class AveragedWeights:
    """Exponential moving average of a module's state, with a shorter memory in the first steps."""

    def __init__(self, module: nn.Module, decay: float):
        self._module, self._decay = module, decay
        self.state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the module's weights after `step` steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        current = self._module.state_dict()
        names = [name for name, tensor in self.state.items() if tensor.is_floating_point()]
        averages, targets = ([state[name] for name in names] for state in (self.state, current))
        torch._foreach_lerp_(averages, targets, 1 - decay)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over averages of the same names and shapes."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
