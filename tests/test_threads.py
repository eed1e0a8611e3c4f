"""The limit of threads is taken back, whoever leaves last."""

from __future__ import annotations

from contextlib import ExitStack

from threadpoolctl import threadpool_info

from softseg.threads import one_blas_thread


def blas_threads() -> list[int]:
    return [int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_contexts_that_overlap_leave_the_threads_as_they_were() -> None:
    before = blas_threads()
    one, two = ExitStack(), ExitStack()
    one.enter_context(one_blas_thread())
    two.enter_context(one_blas_thread())
    one.close()
    assert set(blas_threads()) == {1}
    two.close()
    assert blas_threads() == before
