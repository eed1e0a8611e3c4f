"""Compiled code is kept where that is possible, and made anew where it is not."""

from __future__ import annotations

import numba
import pytest

from softseg.compiled import kernel


def _twice(x: float) -> float:
    return 2 * x


@pytest.mark.parametrize("error", [RuntimeError("cannot cache"), OSError("No space left on device")])
def test_without_a_place_for_the_compiled_code_it_is_compiled_each_time(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_, asked = numba.njit, []

    def njit(*arguments: object, cache: bool = False, **options: object) -> object:
        asked.append(cache)
        if cache:
            raise error
        return compile_(*arguments, **options)

    monkeypatch.setattr(numba, "njit", njit)
    assert kernel(_twice, 1.0)(4.0) == 8
    assert asked == [True, False]
