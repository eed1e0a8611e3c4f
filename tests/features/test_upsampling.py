"""Guided upsampling: exact on what it can represent, sharper than interpolation at edges of the photo."""

from __future__ import annotations

import torch
from torch.nn import functional

from softseg.features.guided_filter import filter_planes
from softseg.features.upsampling import guided_upsample


def _photo(h: int = 64, w: int = 96) -> torch.Tensor:
    return torch.rand(h, w, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_at_the_same_size_it_is_the_guided_filter() -> None:
    image, planes = _photo(20, 30), torch.randn(5, 20, 30, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        guided_upsample(image, planes, 2, 0.01), filter_planes(image, planes, 2, 0.01), atol=1e-4, rtol=1e-4
    )


def test_a_linear_function_of_the_colours_comes_back_exactly() -> None:
    image = functional.interpolate(_photo(8, 12).permute(2, 0, 1)[None], (64, 96), mode="bicubic")[0].permute(1, 2, 0)
    wanted = (image @ torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64) + 3).float()
    cells = functional.interpolate(wanted[None, None], (16, 24), mode="area")[0]
    torch.testing.assert_close(guided_upsample(image, cells, 1, 1e-6)[0], wanted, atol=1e-2, rtol=0)


def test_edges_of_the_photo_are_kept() -> None:
    disk = torch.hypot(*torch.meshgrid(torch.arange(64) - 30.0, torch.arange(96) - 50.0, indexing="ij")) < 20
    image = 0.05 * _photo() + disk[..., None] * torch.tensor([0.6, 0.2, 0.1], dtype=torch.float64)
    cells = functional.interpolate(disk[None, None].float(), (8, 12), mode="area")[0]
    smooth = functional.interpolate(cells[None], (64, 96), mode="bilinear")[0, 0]
    guided = guided_upsample(image, cells)[0]
    assert (guided - disk.float()).abs().mean() < 0.6 * (smooth - disk.float()).abs().mean()


def test_it_is_linear_and_keeps_constants() -> None:
    generator = torch.Generator().manual_seed(2)
    image, one, two = _photo(), torch.randn(20, 8, 12, generator=generator), torch.randn(20, 8, 12, generator=generator)
    torch.testing.assert_close(
        guided_upsample(image, 2 * one - two),
        2 * guided_upsample(image, one) - guided_upsample(image, two),
        atol=1e-4,
        rtol=0,
    )
    torch.testing.assert_close(guided_upsample(image, torch.full((1, 8, 12), 7.0)), torch.full((1, 64, 96), 7.0))


def test_maps_finer_than_the_photo_and_of_one_cell() -> None:
    assert guided_upsample(_photo(5, 6), torch.ones(2, 20, 30)).shape == (2, 5, 6)
    torch.testing.assert_close(guided_upsample(_photo(5, 6), torch.ones(2, 1, 1)), torch.ones(2, 5, 6))
