"""The garbage collector during imports: paused, and kept away from what was imported.

Modules live as long as the program. The collector would visit their objects again and again while
ever more of them are created, which takes a tenth of a start, and once more at the exit.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """The garbage collector of this process.

    freezes: whether what exists after a pause is excluded from collections. Only entry points set
    it: elsewhere, for example among tests, garbage would stay.
    """

    __slots__ = ("freezes",)

    def __init__(self) -> None:
        self.freezes = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause collections inside the block, for imports."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if self.freezes:
                gc.freeze()
            if was_enabled:
                gc.enable()


collector = Collector()
