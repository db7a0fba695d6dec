"""Atomic file replacement: readers see the old file or the new one, even after a crash.

It creates no folder and follows no symbolic link: an existing link is replaced.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write_atomically(path: Path, content: bytes, grant: Callable[[int], None]) -> None:
    """Create or replace a file.

    grant: sets the owner and mode of the new file. It is called with the descriptor before any
    content is written; until then only this user can open the file.

    Raises OSError, and what grant raises; the old file is then unchanged.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as new:  # noqa: PTH123  Path cannot open a descriptor
            grant(descriptor)
            new.write(content)
            new.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
