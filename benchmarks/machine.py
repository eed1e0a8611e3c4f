"""What a benchmark ran on, for the head of its JSON file."""

from __future__ import annotations

from softseg.evaluation.machine import machine

__all__ = ["machine"]
