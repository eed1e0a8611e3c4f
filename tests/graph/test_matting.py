"""The compiled matting affinity: against its transcription across the seams of its rectangles, and what it takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from softseg.errors import ImageError
from softseg.graph import matting, matting_affinity
from tests.laws.examples import make_image
from tests.reference.dense import matting_affinity_reference


@pytest.mark.parametrize("size", [(3, 3), (3, 12), (13, 3), (4, 5), (12, 15)])
@pytest.mark.parametrize("rectangle", [(1, 1), (2, 3), (3, 5), (5, 4), (64, 256)])
def test_rectangles_of_every_shape_give_the_transcription(
    size: tuple[int, int], rectangle: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matting, "_ROWS", rectangle[0])
    monkeypatch.setattr(matting, "_COLUMNS", rectangle[1])
    image = make_image("noise", *size, seed=4)
    affinity = matting_affinity(image)
    expected = matting_affinity_reference(image, 1e-7)
    np.testing.assert_allclose(affinity.toarray(), expected, atol=1e-9, rtol=0)
    assert affinity.nnz == np.count_nonzero(expected)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rectangle", [(7, 11), (64, 256), (1000, 1000)])
def test_neither_threads_nor_rectangles_change_a_bit(
    threads: int, rectangle: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image("smooth", 133, 261, seed=5)
    expected = matting_affinity(image)
    monkeypatch.setattr(matting, "_ROWS", rectangle[0])
    monkeypatch.setattr(matting, "_COLUMNS", rectangle[1])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = matting_affinity(image)
    finally:
        torch.set_num_threads(before)
    for part in ("data", "indices", "indptr"):
        assert getattr(found, part).tobytes() == getattr(expected, part).tobytes()


def test_the_result_is_in_canonical_form_with_short_indices() -> None:
    affinity = matting_affinity(make_image("levels", 9, 14))
    assert affinity.indices.dtype == affinity.indptr.dtype == np.int32
    rows = np.split(affinity.indices, affinity.indptr[1:-1])
    assert affinity.has_canonical_format and all((np.diff(row) > 0).all() for row in rows)


def test_a_photo_with_too_many_entries_for_short_indices_is_refused() -> None:
    with pytest.raises(ImageError, match="85 million"):
        matting_affinity(np.broadcast_to(np.float64(0.5), (10_000, 8_600, 3)))


def test_memory_is_that_of_the_result() -> None:
    image = make_image("noise", 200, 300)
    matting_affinity(image[:8, :8])  # whatever is loaded once
    tracemalloc.start()
    affinity = matting_affinity(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = affinity.data.nbytes + affinity.indices.nbytes + affinity.indptr.nbytes
    rows = 130 * 8 * (matting._COLUMNS + 4) * torch.get_num_threads()
    assert peak < size + 3 * image.nbytes + rows
