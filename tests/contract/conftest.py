"""One thread here too; the command line, in processes of its own, runs on as many as it likes."""

from __future__ import annotations

from tests.laws.conftest import one_thread

__all__ = ["one_thread"]
