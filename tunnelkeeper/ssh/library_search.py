"""A search for shared libraries that starts no program and writes no file.

asyncssh calls ctypes.util.find_library when it is imported. On Linux that function runs ldconfig,
gcc and ld, and needs a writable folder for temporary files. Importing asyncssh through this module
looks at the folders of the dynamic loader instead (ld.so(8)).
"""

from __future__ import annotations

import ctypes.util
import sys
import sysconfig
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_FOLDERS = ("/usr/local/lib", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


def find_library(
    name: str,
    folders: Sequence[Path] | None = None,
    load: Callable[[str], object] = ctypes.CDLL,
) -> str | None:
    """Return the file name of a shared library, for example `libnettle.so.8`, or None.

    Args:
        name: The library without `lib` and without a suffix, as for ctypes.util.find_library.
        folders: The folders to search, in order; None means those of the dynamic loader.
        load: Raises OSError for a library that the loader does not find or that is made for
            another architecture. Such a library is skipped, because asyncssh would load it.
    """
    for folder in _loader_folders() if folders is None else folders:
        # The shortest version comes first: `libx.so.8` sorts before `libx.so.8.6`.
        for found in sorted(each.name for each in folder.glob(f"lib{name}.so.*")):
            with suppress(OSError):
                load(found)
                return found
    return None


@contextmanager
def without_subprocesses() -> Iterator[None]:
    """Replace ctypes.util.find_library inside the block. Other systems need no replacement."""
    if not sys.platform.startswith("linux"):
        yield
        return
    before = ctypes.util.find_library
    ctypes.util.find_library = find_library
    try:
        yield
    finally:
        ctypes.util.find_library = before


def _loader_folders() -> list[Path]:
    triplet = sysconfig.get_config_var("MULTIARCH")
    multiarch = [f"/lib/{triplet}", f"/usr/lib/{triplet}"] if triplet else []
    return [Path(folder) for folder in (*multiarch, *_FOLDERS)]
