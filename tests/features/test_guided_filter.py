"""The guided filter against its transcription, and the laws it must obey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softseg.errors import ImageError, InputError
from softseg.features import guided_filter, guided_strips
from softseg.features.guided_filter import filter_on_tensors, filter_planes
from softseg.features.guided_strips import GuidedFilter
from tests.reference.guided_filter import guided_filter_reference


def _inputs(seed: int, h: int, w: int, channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((h, w, 3)), rng.normal(size=(h, w, channels))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (9, 12), (16, 13)])
@pytest.mark.parametrize(("radius", "regularization"), [(1, 0.01), (2, 1e-6), (5, 0.01), (20, 0.1)])
def test_agrees_with_the_transcription(size: tuple[int, int], radius: int, regularization: float) -> None:
    image, channels = _inputs(1, *size)
    expected = [
        guided_filter_reference(image, channels[..., d], radius, regularization) for d in range(channels.shape[2])
    ]
    filtered = guided_filter(image, channels, radius, regularization)
    assert filtered.dtype == np.float32
    np.testing.assert_allclose(filtered, np.stack(expected, axis=-1), atol=1e-5, rtol=0)


def test_keeps_its_digits_far_from_zero_and_in_flat_regions() -> None:
    image, channels = _inputs(2, 12, 15, 1)
    image = 0.9 + 0.001 * image
    expected = guided_filter_reference(image, channels[..., 0], 3, 1e-6) + 100
    np.testing.assert_allclose(guided_filter(image, channels[..., 0] + 100, 3, 1e-6), expected, atol=2e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14), st.integers(1, 6))
def test_commutes_with_flips_and_transposition(seed: int, h: int, w: int, radius: int) -> None:
    image, channels = _inputs(seed, h, w)
    filtered = guided_filter(image, channels, radius)
    turns: list[Callable[[np.ndarray], np.ndarray]] = [np.flipud, np.fliplr, lambda x: x.swapaxes(0, 1)]
    for turn in turns:
        np.testing.assert_allclose(guided_filter(turn(image), turn(channels), radius), turn(filtered), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(-3, 3))
def test_is_linear_in_the_channels(seed: int, first: float, second: float) -> None:
    image, channels = _inputs(seed, 8, 9)
    filtered = guided_filter(image, channels, 2)
    combined = guided_filter(image, channels @ np.array([first, second]), 2)
    np.testing.assert_allclose(combined, filtered @ np.array([first, second]), atol=2e-5)


def test_a_constant_channel_stays_as_it_is() -> None:
    image, _ = _inputs(3, 20, 30)
    np.testing.assert_allclose(guided_filter(image, np.full((20, 30, 2), -4.25)), -4.25, atol=1e-6)


def test_a_constant_photo_gives_two_window_means() -> None:
    _, channels = _inputs(4, 9, 9, 1)
    filtered = guided_filter(np.full((9, 9, 3), 0.3), channels, 50)
    np.testing.assert_allclose(filtered, channels.mean(), atol=1e-6)


def test_a_channel_that_is_affine_in_the_colours_is_reproduced() -> None:
    image, _ = _inputs(5, 20, 30)
    channel = image @ np.array([0.5, -1.0, 2.0]) + 0.25
    np.testing.assert_allclose(guided_filter(image, channel, 5, 1e-7), channel, atol=1e-4)
    np.testing.assert_allclose(guided_filter(image, channel, 5, 1e-3), channel, atol=0.05)


def test_one_channel_may_come_without_its_axis_and_any_order_in_memory() -> None:
    image, channels = _inputs(6, 7, 8)
    filtered = guided_filter(image, channels)
    np.testing.assert_array_equal(guided_filter(image, channels[..., 0]), filtered[..., 0])
    outermost = np.moveaxis(np.ascontiguousarray(np.moveaxis(channels, -1, 0)), 0, -1)
    np.testing.assert_array_equal(guided_filter(image, outermost), filtered)


def test_two_calls_give_the_same_bytes_and_leave_the_arguments_alone() -> None:
    image, channels = _inputs(7, 40, 50, 5)
    channels = channels.astype(np.float32)
    before = image.copy(), channels.copy()
    assert guided_filter(image, channels).tobytes() == guided_filter(image, channels).tobytes()
    np.testing.assert_array_equal(before[0], image)
    np.testing.assert_array_equal(before[1], channels)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (np.zeros((4, 6, 2)), "have shape"),
        (np.zeros((2, 4, 5)), "have shape"),
        (np.zeros((4, 5, 0)), "have shape"),
        (np.full((4, 5, 2), np.nan), "NaN"),
        (np.full((4, 5, 2), "a"), "type"),
    ],
)
def test_refuses_channels_that_do_not_fit(channels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        guided_filter(np.zeros((4, 5, 3)), channels)


def test_refuses_parameters_out_of_range() -> None:
    image, channels = _inputs(8, 4, 5)
    with pytest.raises(InputError, match="radius"):
        guided_filter(image, channels, 0)
    with pytest.raises(InputError, match="regularization"):
        guided_filter(image, channels, 5, 0.0)
    with pytest.raises(ImageError):
        guided_filter(channels, channels)


SHAPES = [
    (61, 47, 5),
    (20, 90, 3),
    (5, 4, 30),
    (33, 1, 8),
    (1, 33, 8),
    (1, 1, 5),
    (11, 11, 5),
    (10, 12, 5),
    (3, 700, 20),
]


@pytest.mark.parametrize(("h", "w", "radius"), SHAPES)
@pytest.mark.parametrize("channels", [1, 35])
@pytest.mark.parametrize("accurate", [torch.float32, torch.float64])
def test_the_rows_of_the_processor_agree_with_the_steps_of_the_paper(
    h: int, w: int, radius: int, channels: int, accurate: torch.dtype
) -> None:
    image, values = _inputs(9, h, w, channels)  # 35: blocks of four and one of three
    regularization = 0.01 if accurate == torch.float32 else 1e-6
    planes = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)
    pixels = torch.from_numpy(image)
    guide = (pixels - pixels.mean((0, 1))).permute(2, 0, 1).contiguous()
    expected = filter_on_tensors(guide, planes, radius, regularization, accurate)
    torch.testing.assert_close(filter_planes(pixels, planes, radius, regularization), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("radius", range(1, 18))
def test_the_sums_are_those_of_every_radius(radius: int) -> None:
    """Each radius is another way of doubling, and another height of the blocks of rows."""
    image, values = _inputs(12, 40, 41, 1)
    planes, pixels = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1), torch.from_numpy(image)
    guide = (pixels - pixels.mean((0, 1))).permute(2, 0, 1).contiguous()
    expected = filter_on_tensors(guide, planes, radius, 0.01, torch.float64)
    torch.testing.assert_close(filter_planes(pixels, planes, radius, 0.01), expected, atol=1e-6, rtol=0)


def _filter_and_planes(
    threads: int, dtype: str = "float32", regularization: float = 0.01
) -> tuple[GuidedFilter, np.ndarray]:
    image, channels = _inputs(10, 30, 1300, 17)  # three strips, eight blocks of two and one of one
    guide = np.moveaxis(image - image.mean((0, 1)), -1, 0)
    planes = np.ascontiguousarray(np.moveaxis(channels, -1, 0), dtype=np.float32)
    return GuidedFilter(guide, 5, regularization, np.dtype(dtype), threads), planes


@pytest.mark.parametrize(("dtype", "regularization"), [("float32", 0.01), ("float64", 1e-6)])
def test_neither_threads_nor_the_order_in_memory_change_a_digit(dtype: str, regularization: float) -> None:
    guided, planes = _filter_and_planes(1, dtype, regularization)
    once = guided(planes).tobytes()
    many, _ = _filter_and_planes(7, dtype, regularization)
    assert many(planes).tobytes() == once
    innermost = np.moveaxis(np.ascontiguousarray(np.moveaxis(planes, 0, -1)), -1, 0)
    assert many(innermost).tobytes() == once
    gaps = np.repeat(np.repeat(planes, 2, axis=0), 3, axis=2)[::2, :, ::3]
    assert many(gaps).tobytes() == once
    assert many(planes[:, ::-1])[:, ::-1].tobytes() != once  # the comparison sees a single digit
    np.testing.assert_allclose(many(planes[:3]), guided(planes)[:3], atol=1e-6)


def test_pytorchs_threads_do_not_change_a_digit() -> None:
    image, channels = _inputs(14, 200, 300, 9)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(guided_filter(image, channels).tobytes())
    finally:
        torch.set_num_threads(threads)
    assert results[0] == results[1]


@pytest.mark.parametrize("limits", [{"_COLUMNS": 7}, {"_COLUMNS": 100, "_AT_ONCE": 3}, {"_BYTES": 1}])
def test_the_edges_of_strips_and_blocks_leave_no_trace(limits: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    guided, planes = _filter_and_planes(2)
    expected = guided(planes)
    for name, value in limits.items():
        monkeypatch.setattr(guided_strips, name, value)
    guided, planes = _filter_and_planes(2)
    assert guided(planes).tobytes() == expected.tobytes()


def test_planes_of_another_size_or_type_never_reach_the_kernel() -> None:
    guided = GuidedFilter(np.zeros((3, 6, 7)), 2, 0.01, np.dtype(np.float32), 2)
    with pytest.raises(ValueError, match="for a guide of"):
        guided(np.zeros((3, 5, 7), np.float32))
    with pytest.raises(ValueError, match="float64"):
        guided(np.zeros((3, 6, 7)))


def test_what_goes_wrong_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    guided, planes = _filter_and_planes(2)

    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(guided, "_kernel", broken)
    with pytest.raises(MemoryError, match="no room"):
        guided(planes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("regularization", [0.01, 1e-6])
def test_the_gpu_agrees_with_the_processor(regularization: float) -> None:
    image, channels = _inputs(11, 40, 50, 20)
    on_gpu = guided_filter(image, channels, 5, regularization, device="cuda")
    np.testing.assert_allclose(on_gpu, guided_filter(image, channels, 5, regularization), atol=1e-5, rtol=0)
