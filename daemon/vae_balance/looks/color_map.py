"""The color map: a tiny MLP from damaged to fixed color, trained on the spot with MSE.

    fixed = x + affine(x) + tanh(x W1 + b1) W2

The affine part is a ridge regression toward the identity; the hidden layer learns what it leaves
over and is pulled to nothing where the photo has no colors, so that the map stays sane on other
photos. A few hundred parameters and weighted color bins instead of 50,176 pixels make
Levenberg-Marquardt converge in tens of milliseconds. Where the map would leave 0..1 it gets
shoulders: colors of the photo that differ go on to differ there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from vae_balance.color.arrays import Colors, Doubles
from vae_balance.looks.color_cells import corners_of, occupied_cells

HIDDEN = 24
# Cells along each edge of the color cube in which colors are averaged.
_BINS = 16
# Levenberg-Marquardt steps of a fit.
STEPS = 14
# Weight of the pull toward the affine map on a lattice over all colors, relative to the photo's.
_PULL = 0.01
# Weight of the ridge toward the identity in the affine part, relative to the photo's.
RIDGE = 2e-4
# Shares of the hidden layer that are tried until the map has no fold.
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
# Slope under which the map counts as folded: it would turn a gradient back or flatten it.
LEAST_SLOPE = 0.02
# Where a shoulder begins at most, seen from black or white: ten codes of 8 bits.
MOST_SHOULDER = 0.04
# What is beyond by less is a matter of rounding.
LEAST_BEYOND = 1e-6
# Nodes along each edge of the lattice on which shoulders are measured.
_NODES = 33
# Pixels that are binned at a time, those of 20 proxies.
_BINNED_TOGETHER = 1 << 20

_FITTING = Lock()


@dataclass(frozen=True, eq=False)
class Shoulders:
    """What brings values beyond 0..1 back without making one of them all.

    From a little before the end on, values come closer and closer to it, x / (1 + k x), until the
    farthest that there are reach it. Where none is beyond an end, nothing changes.

    Attributes:
        below: (3,) how far red, green and blue go below 0.
        above: (3,) how far they go above 1.
    """

    below: Colors
    above: Colors

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Bring float32 values (N, 3) into 0..1, in order."""
        start, reach, bend = _shoulder(self.below)
        inside = (start - values).clamp_(torch.zeros(3), reach)
        values = values.maximum(start).sub_(inside / (1.0 + bend * inside))
        start, reach, bend = _shoulder(self.above)
        inside = (values - (1.0 - start)).clamp_(torch.zeros(3), reach)
        values = values.minimum(1.0 - start).add_(inside / (1.0 + bend * inside))
        return values.clamp_(0.0, 1.0)


def _shoulder(beyond: Colors) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return how far before an end a shoulder begins, its length, and k of x / (1 + k x)."""
    beyond = np.where(beyond > LEAST_BEYOND, beyond, 0.0).astype(np.float64)
    start = np.minimum(beyond, MOST_SHOULDER)
    reach = start + beyond
    bend = np.divide(beyond, start * reach, out=np.zeros_like(beyond), where=start > 0.0)
    return _tensor(start), _tensor(reach), _tensor(bend)


def _tensor(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


@dataclass(frozen=True, eq=False)
class ColorMap:
    """A smooth function from sRGB-encoded color to sRGB-encoded color, float32 (..., 3).

    Attributes:
        affine: (4, 3) change of color for (r, g, b, 1).
        inner: (4, hidden) weights and bias of the hidden layer.
        outer: (hidden, 3) weights of the output.
        shoulders: what keeps the result in 0..1; None leaves it as it is.
    """

    affine: Doubles
    inner: Doubles
    outer: Doubles
    shoulders: Shoulders | None = None

    def within(self, photos: Colors, step: Callable[[], None] = lambda: None) -> ColorMap:
        """Return the map with shoulders for the colors of photos, (..., 3) in 0..1.

        Args:
            photos: what the map will be applied to.
            step: called every so many pixels; may raise what is to end it.
        """
        corners = corners_of(occupied_cells(photos, _NODES, step), _NODES)
        mapped = replace(self, shoulders=None)(corners / np.float32(_NODES - 1))
        shoulders = Shoulders(-mapped.min(axis=0), mapped.max(axis=0) - 1.0)
        return replace(self, shoulders=shoulders)

    def __call__(self, colors: NDArray[np.floating]) -> Colors:
        """Map colors (..., 3) in 0..1; without shoulders the result may leave 0..1."""
        x = torch.from_numpy(np.array(colors, dtype=np.float32).reshape(-1, 3))
        affine, inner, outer = _tensor(self.affine), _tensor(self.inner), _tensor(self.outer)
        # By PyTorch: the threads of numpy's linear algebra go on spinning when their work is done,
        # and take the cores from the networks, which come next. In place where arrays are large:
        # fresh memory costs more than the arithmetic.
        hidden = torch.addmm(inner[3], x, inner[:3]).tanh_()
        mapped = torch.addmm(affine[3], x, affine[:3]).add_(x).addmm_(hidden, outer)
        if self.shoulders is not None:
            mapped = self.shoulders(mapped)
        return mapped.numpy().reshape(np.shape(colors))


def fit_color_map(
    distorted: Colors, fixed: Colors, step: Callable[[], None] = lambda: None
) -> ColorMap:
    """Train the map that brings the distorted colors to the fixed ones, pixel by pixel.

    Args:
        distorted: (..., 3) sRGB-encoded, 0..1.
        fixed: the same shape; element i is where element i of `distorted` should go.
        step: called every so many pixels; may raise what is to end it.
    """
    colors, targets, weights = bin_colors(distorted.reshape(-1, 3), fixed.reshape(-1, 3), step)
    # Matrices this small are not worth threads: on a busy machine, waiting for the second one
    # made a fit thirty times slower. The limit is the whole process's, and each who sets it puts
    # back what was there before: one at a time.
    with _FITTING, _linear_algebra().limit(limits=1, user_api="blas"):
        affine = _fit_affine(colors, targets - colors, weights)
        left_over = targets - colors - _with_one(colors) @ affine
        inner, outer = _fit_hidden(colors, left_over, weights)
        for share in _SHARES:
            color_map = ColorMap(affine, inner, share * outer)
            if least_slope(color_map) >= LEAST_SLOPE:
                return color_map
        return _unfolded(affine)


def compose(maps: Sequence[ColorMap], colors: NDArray[np.floating]) -> Colors:
    """Apply color maps one after the other to sRGB-encoded colors (..., 3); all in 0..1."""
    mapped = np.asarray(colors, dtype=np.float32)
    for color_map in maps:
        mapped = color_map(mapped).clip(0.0, 1.0)
    return mapped


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    """Return the handle on numpy's linear algebra library; finding it takes milliseconds."""
    return ThreadpoolController()


def bin_colors(
    colors: Colors, targets: Colors, step: Callable[[], None] = lambda: None
) -> tuple[Doubles, Doubles, Doubles]:
    """Average colors (N, 3) and their targets in cells of the color cube; `step` as above.

    Returns:
        Mean color (K, 3) and mean target (K, 3) of each occupied cell, and its weight (K,): its
        share of the pixels, the sum being 1.
    """
    count = np.zeros(_BINS**3, np.int64)
    sums = np.zeros((6, _BINS**3))
    for first in range(0, len(colors), _BINNED_TOGETHER):
        step()
        some = colors[first : first + _BINNED_TOGETHER]
        theirs = targets[first : first + _BINNED_TOGETHER]
        cells = np.minimum((some * _BINS).astype(np.int64), _BINS - 1)
        index = (cells[:, 0] * _BINS + cells[:, 1]) * _BINS + cells[:, 2]
        count += np.bincount(index, minlength=_BINS**3)
        for total, values in zip(sums, (*some.T, *theirs.T), strict=True):
            total += np.bincount(index, values, _BINS**3)
    occupied = np.flatnonzero(count)
    means = (sums[:, occupied] / count[occupied]).T
    return means[:, :3].copy(), means[:, 3:].copy(), count[occupied] / len(colors)


def least_slope(color_map: ColorMap, nodes: int = 9) -> float:
    """Return how close the map is to folding colors over one another.

    That is the least determinant of its Jacobian over a lattice of all colors, by differences, or
    the least slope of any channel along the grey axis, whichever is smaller. The identity has 1;
    a map that turns a gradient round has a value below 0.
    """
    steps = np.linspace(0.0, 1.0, nodes)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    mapped = color_map(lattice).astype(np.float64)
    step = steps[1]
    corner = mapped[:-1, :-1, :-1]
    columns = [
        (mapped[1:, :-1, :-1] - corner) / step,
        (mapped[:-1, 1:, :-1] - corner) / step,
        (mapped[:-1, :-1, 1:] - corner) / step,
    ]
    volume = np.linalg.det(np.stack(columns, axis=-1)).min()
    greys = color_map(np.repeat(np.linspace(0.0, 1.0, 33)[:, None], 3, axis=1))
    return float(min(volume, (np.diff(greys, axis=0) * 32.0).min()))


def _with_one(colors: Doubles) -> Doubles:
    return np.concatenate([colors, np.ones((len(colors), 1))], axis=1)


def _fit_affine(colors: Doubles, change: Doubles, weights: Doubles) -> Doubles:
    """Return the ridge solution (4, 3); the constant is not held back, only the matrix."""
    x = _with_one(colors - 0.5)
    ridge = RIDGE * np.diag([1.0, 1.0, 1.0, 1e-3])
    weighted = weights[:, None] * x
    affine: Doubles = np.linalg.solve(x.T @ weighted + ridge, weighted.T @ change)
    affine[3] -= 0.5 * affine[:3].sum(axis=0)
    return affine


def _unfolded(affine: Doubles) -> ColorMap:
    """Return the affine map, drawn toward the identity as far as it takes to have no fold."""
    nothing = np.zeros((4, 1)), np.zeros((1, 3))
    for share in _SHARES[:-1]:
        color_map = ColorMap(share * affine, *nothing)
        if least_slope(color_map) >= LEAST_SLOPE:
            return color_map
    return ColorMap(0.0 * affine, *nothing)


def _fit_hidden(colors: Doubles, left_over: Doubles, weights: Doubles) -> tuple[Doubles, Doubles]:
    """Fit tanh(x W1 + b1) W2 to what the affine map leaves over, by Levenberg-Marquardt.

    Returns:
        inner (4, HIDDEN) and outer (HIDDEN, 3).

    Source: Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters" (1963).
    """
    steps = np.linspace(0.0, 1.0, 5)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    x = _with_one(np.concatenate([colors, lattice]))
    target = np.concatenate([left_over, np.zeros_like(lattice)])
    pull = np.full(len(lattice), _PULL / len(lattice))
    root = np.sqrt(np.concatenate([weights, pull]))[:, None]

    inner, outer = _first_guess(x, target, root)
    damping = 1e-3
    hidden = np.tanh(x @ inner)
    error = _squared_error(hidden, target, root, outer)
    gradient, curvature = _normal_equations(x, hidden, target, root, inner, outer)
    floor = 1e-7 * np.eye(len(curvature))
    for _ in range(STEPS):
        step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)) + floor, gradient)
        moved_inner = inner + step[: inner.size].reshape(inner.shape)
        moved_outer = outer + step[inner.size :].reshape(outer.shape)
        moved_hidden = np.tanh(x @ moved_inner)
        moved_error = _squared_error(moved_hidden, target, root, moved_outer)
        if moved_error < error:
            inner, outer, hidden, error = moved_inner, moved_outer, moved_hidden, moved_error
            gradient, curvature = _normal_equations(x, hidden, target, root, inner, outer)
            damping = max(damping / 4.0, 1e-7)
        else:
            damping *= 8.0
    return inner, outer


def _first_guess(x: Doubles, target: Doubles, root: Doubles) -> tuple[Doubles, Doubles]:
    """Return fixed random directions through the color cube and their least-squares outputs."""
    rng = np.random.default_rng(0)
    inner = rng.normal(0.0, 2.0, (4, HIDDEN))
    inner[3] = -(rng.uniform(0.0, 1.0, (HIDDEN, 3)) * inner[:3].T).sum(axis=1)
    hidden = root * np.tanh(x @ inner)
    ridge = 1e-4 * np.eye(HIDDEN)
    outer = np.linalg.solve(hidden.T @ hidden + ridge, hidden.T @ (root * target))
    return inner, outer


def _squared_error(hidden: Doubles, target: Doubles, root: Doubles, outer: Doubles) -> float:
    residual = root * (target - hidden @ outer)
    return float(np.square(residual).sum())


def _normal_equations(
    x: Doubles, hidden: Doubles, target: Doubles, root: Doubles, inner: Doubles, outer: Doubles
) -> tuple[Doubles, Doubles]:
    """Return J^T r (P,) and J^T J (P, P) for the parameters [inner, outer], row by row.

    The Jacobians of the three channels differ by factors of `outer` only, so that one matrix
    product serves them all.
    """
    slope = root * (1.0 - hidden**2)
    residual = root * (target - hidden @ outer)
    # d output[channel] / d inner[i, h] = x_i (1 - hidden_h^2) outer[h, channel]
    through = (x[:, :, None] * slope[:, None, :]).reshape(len(x), inner.size)
    weighted = root * hidden
    shared = np.concatenate([through, weighted], axis=1)
    products = shared.T @ shared
    size, count = inner.size, inner.size + outer.size
    of_neuron = np.tile(outer, (len(inner), 1))  # (size, 3): the outputs behind inner[i, h]
    curvature = np.empty((count, count))
    curvature[:size, :size] = products[:size, :size] * (of_neuron @ of_neuron.T)
    mixed = products[:size, size:, None] * of_neuron[:, None, :]
    curvature[:size, size:] = mixed.reshape(size, outer.size)
    curvature[size:, :size] = curvature[:size, size:].T
    curvature[size:, size:] = np.kron(products[size:, size:], np.eye(3))
    gradient = np.empty(count)
    gradient[:size] = ((through.T @ residual) * of_neuron).sum(axis=1)
    gradient[size:] = (weighted.T @ residual).reshape(-1)
    return gradient, curvature
