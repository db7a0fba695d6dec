"""A file put in place whole: whoever looks sees the old one or the new one, after a crash too.

It makes no folder, and follows no symbolic link: one that is there is replaced.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write_atomically(path: Path, content: bytes, grant: Callable[[int], None]) -> None:
    """Write a file, or replace the one that is there.

    grant is called with the new file's descriptor, before there is anything to read, and gives it
    its owner and mode; until then only we can open it. Raises OSError, and what grant raises: then
    nothing has changed.
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
