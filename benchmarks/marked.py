"""Tables in the documentation: all between `<!-- table: NAME -->` and `<!-- end -->` is made anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from softseg.errors import InputError

_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, names: Collection[str], table: Callable[[str], str]) -> str:
    """The text with every table made anew by `table(name)`.

    Raises
    ------
    InputError : the text asks for a table that is not among the names.

    Examples
    --------
    >>> print(filled("<!-- table: ones -->\\nold\\n<!-- end -->", ["ones"], lambda name: "1 1 1"))
    <!-- table: ones -->
    1 1 1
    <!-- end -->
    """

    def replaced(found: re.Match[str]) -> str:
        if found[2] not in names:
            raise InputError(f"there is no table {found[2]!r}; choose from: {', '.join(names)}")
        return f"{found[1]}{table(found[2])}\n{found[3]}"

    return _MARKED.sub(replaced, text)
