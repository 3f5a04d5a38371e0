"""The multichannel Wiener filter: estimates that agree with what the channels have in common.

A source is modelled in each bin by its power in every frame, v, and by how its channels go together, a
covariance R that all frames share. The mixture x is then the sum of the sources and of a little noise δ:

    mixture     X = Σ v R + δ I          estimate of a source     v R X⁻¹ x

Expectation and maximisation take turns: powers and covariances are measured on the estimates, and make the
next estimates.

Source   Duong, Vincent, Gribonval, "Under-determined reverberant audio source separation using a full-rank
         spatial covariance model", 2010; in the simplified form of Nugraha, Liutkus, Vincent, "Multichannel
         music separation with deep neural networks", 2016, which Open-Unmix and Hybrid Demucs use.
Differs  where the mixture is exactly 0 its estimates are, too; the published filter takes it for 1 there.

S source · C channel · F bin · N frame
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from unbraid.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# Complex numbers of the estimates that are refined at once: bins do not depend on each other, and four
# megabytes stay in the processor's cache from one step to the next, and are enough for all its cores.
_PIECE = 262_144


def phase(spectrum: Tensor) -> Tensor:
    """A spectrum with all magnitudes made 1, same shape; silence has phase 0.

    >>> phase(torch.tensor([3j, -2.0, 0.0]))
    tensor([ 0.+1.j, -1.+0.j,  1.+0.j])
    """
    return torch.where(spectrum == 0, 1, spectrum.sgn())


@dataclass(frozen=True, slots=True)
class WienerFilter:
    """Complex spectra of the sources from their magnitudes and the mixture.

    Args:
        iterations: Rounds of expectation and maximisation. 0: the first estimates are the answer.
        softmask: True: the first estimates share the mixture out in proportion to the magnitudes. False:
            they are the magnitudes at the mixture's phase.
        residual: True: what the first estimates leave of the mixture is one more source, the last.
        window: Frames that share their covariances and their scale; None: all.
        scale_factor: A mixture louder than this is brought down to it during the iterations.
        eps: Power of the noise δ², and what keeps silence from dividing by 0.

    Raises:
        ConfigError: If a number is out of range.

    >>> mixture = torch.tensor([[[2j, 1.0]]])
    >>> magnitudes = torch.tensor([3.0, 1.0])[:, None, None, None].expand(2, 1, 1, 2)
    >>> WienerFilter(iterations=0)(magnitudes, mixture)[:, 0, 0]
    tensor([[0.+3.j, 3.+0.j],
            [0.+1.j, 1.+0.j]])
    >>> WienerFilter(softmask=True)(magnitudes, mixture)[:, 0, 0].sum(0)
    tensor([0.0000+2.0000j, 1.0000+0.0000j])
    """

    iterations: int = 1
    softmask: bool = False
    residual: bool = False
    window: int | None = None
    scale_factor: float = 10.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        positive = self.scale_factor > 0 and self.eps > 0
        if self.iterations < 0 or (self.window is not None and self.window < 1) or not positive:
            raise ConfigError(
                f"this makes no Wiener filter: {self}; iterations must be 0 or more, a window 1 or more "
                "frames, and scale_factor and eps positive"
            )

    def __call__(self, magnitudes: Tensor, mixture: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            magnitudes: `(..., S, C, F, N)`, float32 or float64.
            mixture: Complex, `(..., C, F, N)`, of the same precision.

        Returns:
            Complex, `(..., S, C, F, N)`, of one source more with a residual.

        Raises:
            ShapeError: If the shapes do not belong together.
        """
        if magnitudes.ndim < 4 or magnitudes.shape[:-4] + magnitudes.shape[-3:] != mixture.shape:
            raise ShapeError(
                f"magnitudes are {tuple(magnitudes.shape)} and the mixture is {tuple(mixture.shape)}; they "
                "must be (..., sources, channels, bins, frames) and (..., channels, bins, frames)"
            )
        if not self.iterations or not mixture.numel():
            return self._first(magnitudes.movedim(-2, -4), mixture.movedim(-2, -3)).movedim(-4, -2)
        *leading, sources, channels, bins, frames = magnitudes.shape
        sources += self.residual
        estimates = mixture.new_empty(*leading, sources, channels, frames, bins).mT  # as they are inverted
        for window in _pieces(frames, self.window or frames):
            loudest = mixture[..., window].abs().amax((-3, -2, -1), keepdim=True)
            scale = (loudest / self.scale_factor).clamp_min(1)
            numbers = mixture[..., :1, window].numel() * max(sources, channels)
            for part in _pieces(bins, max(1, _PIECE // numbers)):
                estimates[..., part, window] = self._refined(
                    magnitudes[..., part, window], mixture[..., part, window], scale
                )
        return estimates

    def _first(self, magnitudes: Tensor, mixture: Tensor) -> Tensor:
        """The estimates before any iteration, with axes `(..., F, S, C, N)`, as all has from here on."""
        heard = mixture.unsqueeze(-3)
        if self.softmask:
            estimates = _scaled(heard, magnitudes / (magnitudes.sum(-3, keepdim=True) + self.eps))
        else:
            estimates = _scaled(phase(heard), magnitudes)
        if not self.residual:
            return estimates
        return torch.cat([estimates, heard - estimates.sum(-3, keepdim=True)], -3)

    def _refined(self, magnitudes: Tensor, mixture: Tensor, scale: Tensor) -> Tensor:
        """Estimates of these bins and frames after all iterations, in float64 where the device has it."""
        # Every bin has matrices of its own.
        magnitudes, mixture = magnitudes.movedim(-2, -4), mixture.movedim(-2, -3)
        # Where channels are nearly alike float32 rounds the little in which they differ away. Metal has no
        # other precision.
        if mixture.device.type != "mps":
            magnitudes, mixture = magnitudes.double(), mixture.to(torch.complex128)
        magnitudes, mixture = magnitudes.contiguous(), mixture.contiguous()
        softer = scale.reciprocal()
        y = _scaled(self._first(magnitudes, mixture), softer.unsqueeze(-4))
        x = _scaled(mixture, softer)
        # Autocast would have the real products in half precision.
        with torch.autocast(mixture.device.type, enabled=False):
            for _ in range(self.iterations):
                y = self._iteration(y, x)
        return _scaled(y, scale.unsqueeze(-4)).movedim(-4, -2)

    def _iteration(self, y: Tensor, x: Tensor) -> Tensor:
        """Better estimates, from the powers and covariances of estimates `(..., F, S, C, N)`."""
        *leading, _, channels, frames = y.shape
        power = y.real.square().addcmul_(y.imag, y.imag).mean(-2)  # (..., F, S, N)
        weight = power.sum(-1) + self.eps
        covariance = y @ y.mH * weight.reciprocal()[..., None, None]  # (..., F, S, C, C)
        parts = torch.view_as_real(covariance).flatten(-3)  # (..., F, S, 2C²)
        model = (parts.mT @ power).view(*leading, channels, channels, 2, frames)
        whitened = solve(model, x, math.sqrt(self.eps))
        heard = covariance.flatten(-3, -2) @ whitened  # (..., F, S · C, N)
        return _scaled(heard.view(y.shape), power.unsqueeze(-2))


def _scaled(spectrum: Tensor, factor: Tensor) -> Tensor:
    """Complex numbers times real ones, which are not made complex for it."""
    return torch.view_as_complex(torch.view_as_real(spectrum) * factor.unsqueeze(-1))


def _pieces(count: int, together: int) -> Iterator[slice]:
    for start in range(0, count, together):
        yield slice(start, start + together)


def solve(model: Tensor, x: Tensor, noise: float) -> Tensor:
    """X⁻¹ x for the covariances X = model + noise · I.

    Args:
        model: Parts of Hermitian matrices without negative eigenvalues, `(..., C, C, 2, N)`.
        x: `(..., C, N)`.
        noise: More than 0.

    Returns:
        `(..., C, N)`.
    """
    channels = x.shape[-2]
    if channels == 1:
        return x / (model[..., 0, 0, :1, :] + noise)
    if channels == 2:
        return _solve_pair(model, x, noise)
    matrices = torch.view_as_complex(model.movedim(-1, -4).contiguous())  # (..., N, C, C)
    matrices = matrices + noise * torch.eye(channels, dtype=model.dtype, device=model.device)
    solution: Tensor = torch.linalg.solve(matrices, x.mT.unsqueeze(-1))  # (..., N, C, 1)
    return solution.squeeze(-1).mT


def _solve_pair(model: Tensor, x: Tensor, noise: float) -> Tensor:
    """`solve` of two channels, in closed form.

    The determinant's parts are kept apart: the model's own rounds to less than 0 where channels are alike,
    and there the noise's share, far below a rounding step of loud entries, is what matters.
    """
    left, right = model[..., 0, 0, 0, :], model[..., 1, 1, 0, :]
    across = torch.complex(model[..., 0, 1, 0, :], model[..., 0, 1, 1, :])
    own = left * right - model[..., 0, 1, :, :].square().sum(-2)
    determinant = own.clamp_min(0) + noise * (left + right + noise)
    a, b = x.unbind(-2)
    solution = torch.stack(
        [(right * a - across * b) + noise * a, (left * b - across.conj() * a) + noise * b], -2
    )
    return solution * determinant.reciprocal().unsqueeze(-2)
