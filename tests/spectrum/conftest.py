"""One thread, as for the laws."""

from tests.laws.conftest import one_thread

__all__ = ["one_thread"]
