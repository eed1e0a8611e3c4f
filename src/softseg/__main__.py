"""`python -m softseg` is the command `softseg`."""

from __future__ import annotations

from softseg.cli.main import main

if __name__ == "__main__":
    main()
