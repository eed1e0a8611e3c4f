"""Products keep their digits on a GPU, whatever a program allows, and its settings are as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from softseg.devices import full_precision, synchronize

MATMUL = torch.backends.cuda.matmul


@pytest.fixture
def precision() -> Iterator[None]:
    """Puts the settings back that a test changes; by the newer name where PyTorch has it."""
    named = getattr(MATMUL, "fp32_precision", None)
    before = torch.get_float32_matmul_precision()
    yield
    if named is not None:
        MATMUL.fp32_precision = "none"
    torch.set_float32_matmul_precision(before)
    if named is not None:
        MATMUL.fp32_precision = named


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_products_have_all_digits_inside(before: str) -> None:
    torch.set_float32_matmul_precision(before)
    with pytest.raises(KeyError), full_precision():
        assert torch.get_float32_matmul_precision() == "highest" and not MATMUL.allow_tf32
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.usefixtures("precision")
@pytest.mark.skipif(not hasattr(MATMUL, "fp32_precision"), reason="this PyTorch has no such name")
def test_products_have_all_digits_inside_by_the_newer_name() -> None:
    @full_precision()
    def inside() -> str:
        return str(MATMUL.fp32_precision)

    MATMUL.fp32_precision = "tf32"
    assert inside() == "ieee" and MATMUL.fp32_precision == "tf32"
    MATMUL.fp32_precision = "ieee"
    assert inside() == "ieee" and MATMUL.fp32_precision == "ieee"


def test_nothing_is_waited_for_without_a_gpu() -> None:
    synchronize(torch.device("cpu"))
