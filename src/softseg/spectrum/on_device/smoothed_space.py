"""What functions of the coarse space cost once they are smoothed, on a device: `softseg.spectrum.smoothed_space`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from softseg.devices import to_tensor
from softseg.graph.stencil import REACH
from softseg.spectrum.on_device.rows import PaddedRows
from softseg.spectrum.on_device.smoothing import DeviceSmoother
from softseg.spectrum.packing import Packing
from softseg.spectrum.smoothed_space import RIDGES


def smoothed_matrices(smoother: DeviceSmoother, packing: Packing) -> tuple[torch.Tensor, torch.Tensor]:
    """``Q^T L Q`` and ``Q^T Q``, (n, n) float32, of the smoothed functions ``Q = q(D^-1 L') P`` of a coarse space.

    With the ridges of the function of the same name that is compiled, and the same sums over cells.
    """
    local = smoother.local(packing.reach // REACH)
    device, columns = smoother.scale.device, packing.matrix.shape[1]
    identity = torch.eye(columns, dtype=torch.float32, device=device)
    planes = local.prolonged(PaddedRows.of(packing.matrix, device), identity)
    values, energies = local.stencil.inside(planes), local.stencil.product(planes)
    stiffness, mass = _sums_over_cells(energies, values, packing)
    far = smoother.stencil.far
    at_far = _unpacked(values[:, far], packing, far)
    stiffness += at_far.T @ (smoother.stencil.far_part() @ at_far)
    squares = mass.diagonal().clone()
    stiffness.diagonal().add_(RIDGES[0] / smoother.scale.mean() * squares)
    mass.diagonal().add_(RIDGES[1] * squares)
    return stiffness, mass


def _sums_over_cells(energies: torch.Tensor, values: torch.Tensor, packing: Packing) -> torch.Tensor:
    """(2, n, n) products of (c, N) L Q, and of Q, with Q, of functions that are told apart by the cells."""
    n, width, count = packing.functions, int(packing.columns[-1]), len(values)
    total = values.new_zeros(2, n * n)
    both = torch.cat([energies, values]).reshape(2 * count, -1, width)  # (2 c, h, w)
    places = to_tensor(_padded_cells(packing.columns), values.device)
    for (first, last), owners in zip(pairwise(packing.rows.tolist()), packing.owners[..., :count], strict=True):
        row = torch.nn.functional.pad(both[:, first:last], (0, 1))  # zeros fill narrow cells up
        cells = row[:, :, places].permute(2, 0, 1, 3).flatten(2)  # (cells, 2 c, pixels)
        products = (cells @ cells[:, count:].mT).reshape(-1, 2, count, count)  # (cells, 2, c, c)
        owner = to_tensor(owners, values.device).long()
        one, other = owner[:, :, None], owner[:, None]
        keys = torch.where((one >= 0) & (other >= 0), one * n + other, -1)
        _add_up(keys.flatten(), products.transpose(0, 1).flatten(1), total)
    return total.reshape(2, n, n)


def _padded_cells(edges: np.ndarray) -> np.ndarray:
    """(cells, widest) the columns of pixels of each cell, filled up with the one after the last."""
    places = edges[:-1, None] + np.arange(np.diff(edges).max())
    return np.where(places < edges[1:, None], places, edges[-1])


def _add_up(keys: torch.Tensor, values: torch.Tensor, total: torch.Tensor) -> None:
    """total[:, key] += value for each of (e,) keys from 0 on and (2, e) values, in the order in which they come.

    Differs from the compiled route in: 6. It is no loop, nor `index_add_`, whose order on a GPU is another one each
    time: no key occurs twice in one of these passes.
    """
    keys, order = torch.sort(keys, stable=True)
    turn = torch.arange(len(keys), device=keys.device) - torch.searchsorted(keys, keys)
    turn = torch.where(keys >= 0, turn, -1)
    for k in range(int(turn.max()) + 1):
        some = torch.nonzero(turn == k).squeeze(1)
        total[:, keys[some]] += values[:, order[some]]


def _unpacked(values: torch.Tensor, packing: Packing, pixels: torch.Tensor) -> torch.Tensor:
    """(p, n) values of all functions at some pixels, from the (c, p) of the columns there."""
    owners = packing.owners_at(pixels.cpu().numpy())[:, : len(values)]
    which, column = np.nonzero(owners >= 0)
    row, place, owner = (to_tensor(part, values.device) for part in (which, column, owners[which, column]))
    found = values.new_zeros(len(pixels), packing.functions)
    found[row, owner.long()] = values[place, row]
    return found
