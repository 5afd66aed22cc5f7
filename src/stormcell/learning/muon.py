"""Muon: steps along the orthogonalised momentum of each convolution's weight matrix, AdamW for all other parameters.

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). PyTorch's own takes matrices only;
here a convolution (n_out, n_in, ky, kx) counts as the matrix (n_out, n_in ky kx), and one optimizer holds both kinds
of parameters, as a single schedule and a single checkpoint need.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor
    from torch.nn import Parameter

LEAST_SIDE = 16
"""Matrices with a shorter side (input and output layers) are left to AdamW."""

_MOMENTUM = 0.95
_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPS = 1e-8
_RMS_OF_ADAM = 0.2
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """Bring all singular values near 1 by Newton-Schulz iterations.

    Parameters
    ----------
    matrix : Tensor
        Shape (m, n).

    Returns
    -------
    Tensor
        The same shape and singular vectors, singular values about 0.7 to 1.2.
    """
    a, b, c = _QUINTIC
    is_tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.T if is_tall else matrix) / (matrix.norm() + 1e-12)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the weights of convolutions, AdamW for the rest.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of the whole network.
    matrix_learning_rate : float
        Of Muon; the root-mean-square step is 0.2 of it, as AdamW's would be.
    learning_rate : float
        Of AdamW.
    weight_decay : float
        Of both, decoupled.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        matrix_learning_rate: float,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        matrices: list[Parameter] = []
        others: list[Parameter] = []
        for parameter in parameters:
            (matrices if _is_matrix(parameter) else others).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": matrices, "lr": matrix_learning_rate, "is_matrix": True},
            {"params": others, "lr": learning_rate, "is_matrix": False},
        ]
        super().__init__([group for group in groups if group["params"]], {"weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the parameters that have a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss again, with gradients.

        Returns
        -------
        float or None
            What the closure gave.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = _move_matrix if group["is_matrix"] else _move_by_adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, parameter.grad, self.state[parameter], group["lr"])
        return loss


def _is_matrix(parameter: Parameter) -> bool:
    return parameter.ndim == 4 and min(parameter.flatten(1).shape) >= LEAST_SIDE


def _move_matrix(parameter: Tensor, gradient: Tensor, state: dict[str, Any], rate: float) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
    direction = orthogonalised(gradient.lerp(momentum, _MOMENTUM).flatten(1))
    scale = _RMS_OF_ADAM * math.sqrt(max(direction.shape))
    parameter.add_(direction.reshape(parameter.shape), alpha=-rate * scale)


def _move_by_adam(parameter: Tensor, gradient: Tensor, state: dict[str, Any], rate: float) -> None:
    if not state:
        state["step"] = 0
        state["mean"] = torch.zeros_like(parameter)
        state["square"] = torch.zeros_like(parameter)
    state["step"] += 1
    mean = state["mean"].lerp_(gradient, 1 - _ADAM_BETAS[0])
    square = state["square"].mul_(_ADAM_BETAS[1]).addcmul_(gradient, gradient, value=1 - _ADAM_BETAS[1])
    unbiased = (square / (1 - _ADAM_BETAS[1] ** state["step"])).sqrt_().add_(_ADAM_EPS)
    parameter.addcdiv_(mean, unbiased, value=-rate / (1 - _ADAM_BETAS[0] ** state["step"]))
