"""How Hypothesis runs here: the same examples every time, and no clock."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

law = settings(
    derandomize=True, deadline=None, database=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
few = settings(law, max_examples=6)
