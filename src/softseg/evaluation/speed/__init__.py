"""Measuring how fast it is: every row in a process of its own, beside what the machine could do."""

from __future__ import annotations

from softseg.evaluation.speed.bench import measure_speed
from softseg.evaluation.speed.targets import ROWS

__all__ = ["ROWS", "measure_speed"]
