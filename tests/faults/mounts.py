"""Files of the system as a test wants them, for one program alone: a mount namespace of its own.

Needs Linux, util-linux and root.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.requirements import absent, require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SCRIPT = """\
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done
shift
exec "$@"
"""


def seeing(files: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a command prefix; the command behind it sees these files in place of the system's."""
    if os.geteuid() != 0:
        absent("mount namespaces need root")
    pairs = [str(path) for there, here in files.items() for path in (here, there)]
    through = (
        require("unshare"),
        "--mount",
        "--",
        require("sh"),
        "-c",
        _SCRIPT,
        "sh",
        *pairs,
        "--",
    )
    tried = subprocess.run([*through, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        absent(f"this machine does not allow mount namespaces: {tried.stderr.strip()}")
    return through
