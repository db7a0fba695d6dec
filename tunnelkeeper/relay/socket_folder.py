"""Whether the path of a Unix socket stays below the folder it must be in, symbolic links followed.

The form of the path is policy's; this looks at the disk.
"""

from __future__ import annotations

import os

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay.policy import Refusal


def refusal(path: str, folder: str) -> Refusal | None:
    """Why a path that is below a folder by its name is refused all the same."""
    real = os.path.realpath(path)
    if real.startswith(os.path.realpath(folder) + os.sep):
        return None
    return Refusal(f"'{printable(path, 80)}' leads out of the folder of this relay's sockets")
