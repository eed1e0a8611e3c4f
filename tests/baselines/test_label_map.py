"""Label maps: what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from softseg.baselines.class_names import semantic_classes
from softseg.baselines.label_map import LabelMap
from softseg.errors import InputError


@pytest.mark.parametrize(
    ("labels", "nothing", "words"),
    [
        (np.array([[0, 2]]), None, "labels go from 0 to 2, but there are 2 names"),
        (np.array([[-1, 0]]), None, "labels go from -1"),
        (np.array([[0.0, 1.0]]), None, r"float64 \(1, 2\); expected \(h, w\) whole numbers"),
        (np.array([0, 1]), None, r"\(2,\); expected"),
        (np.array([[0, 1]]), 2, "the label 2 for nothing has no name"),
    ],
)
def test_refusals(labels: np.ndarray, nothing: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LabelMap(labels, ("sky", "sea"), nothing)


def test_class_names_are_as_many_as_the_classes_and_all_different() -> None:
    for count in (150, 21, 7):
        assert len(set(semantic_classes(count))) == count
    assert [semantic_classes(150)[place] for place in (0, 20, 149)] == ["wall", "car", "flag"]
    assert [semantic_classes(21)[place] for place in (0, 15, 20)] == ["background", "person", "tv monitor"]
