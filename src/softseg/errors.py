"""What softseg raises: every message says what arrived, what was expected and what to do."""

from __future__ import annotations


class SoftsegError(Exception):
    """Base of every error that softseg raises on purpose; its text is meant for the person at the keyboard."""


class InputError(SoftsegError, ValueError):
    """An argument does not have the form, size or range that was asked for."""


class ImageError(InputError):
    """A photograph cannot be used: unreadable, of an unsupported kind, or too small."""


class OutputError(SoftsegError, OSError):
    """A result cannot be written."""


class DeviceError(SoftsegError, RuntimeError):
    """The compute device that was asked for is not there."""


class ModelError(SoftsegError, RuntimeError):
    """The weights of a feature network are missing or damaged."""


class ConvergenceError(SoftsegError, RuntimeError):
    """An iteration stopped so far from its solution that the result would be unusable."""
