"""The small files that make a folder of packages an environment of Python, as `venv` writes them.

With them, `sys.executable -m tunnelkeeper` works in every process of the program, without a
variable that hooks and other children would inherit.
"""

from __future__ import annotations

SCRIPT = """\
#!{python}
from tunnelkeeper.entry import main_or_autossh

main_or_autossh()
"""
"""What /usr/bin/tunnelkeeper and /usr/bin/tunnelkeeper-autossh run."""


def pyvenv_cfg(home: str, version: str) -> str:
    """Return the text of pyvenv.cfg. home: the folder of the interpreter, such as /usr/bin."""
    return f"home = {home}\ninclude-system-site-packages = false\nversion = {version}\n"


SINGLE_FILE_SCRIPT = """\
import sys

from tunnelkeeper.entry import main_or_autossh

# The first argument is the file that was started: its name counts, and units start it again.
sys.argv[0:2] = sys.argv[1:2]
main_or_autossh()
"""
"""What the single file runs when it is unpacked, with its own path as first argument."""
