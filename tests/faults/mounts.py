"""System files that are replaced for one program only, in a mount namespace of its own.

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


def with_files_replaced(files: Mapping[str, Path]) -> tuple[str, ...]:
    """Return a command prefix that makes a command see these files in place of the system's."""
    if os.geteuid() != 0:
        absent("mount namespaces need root")
    pairs = [str(path) for system_file, own in files.items() for path in (own, system_file)]
    prefix = (
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
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        absent(f"this machine does not allow mount namespaces: {done.stderr.strip()}")
    return prefix
