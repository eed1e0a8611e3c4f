"""The device that is not there refuses what a GPU would refuse, and computes what the processor computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.elsewhere import elsewhere


def test_numbers_go_there_and_come_back() -> None:
    with elsewhere() as device:
        there = torch.from_numpy(np.arange(6.0)).to(device)
        assert there.device == device and float(there[3]) == 3
        assert torch.zeros(2, device=device).device == torch.eye(2, device=device).device == device
        changed = there[2:]
        assert changed.mul_(2) is changed
        changed += torch.tensor(1.0)  # one number of the processor may go along
        np.testing.assert_array_equal(there.cpu().numpy(), [0, 1, 5, 7, 9, 11])


def test_what_a_gpu_refuses_is_refused_and_indices_of_the_processor_too() -> None:
    with elsewhere() as device:
        there = torch.ones(4, device=device)
        for mistake in (
            lambda: there + torch.ones(4),
            lambda: torch.ones(4) @ there,
            lambda: torch.stack([there[0], torch.tensor(1.0)]),
            lambda: there[torch.arange(2)],
        ):
            with pytest.raises(AssertionError, match="two devices"):
                mistake()
        with pytest.raises(RuntimeError):
            there.numpy()
