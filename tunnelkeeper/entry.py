"""The entry points of the installed programs. They import the command line, and run it."""

from __future__ import annotations

import sys
from typing import NoReturn

from tunnelkeeper.collector import collector

AUTOSSH = "tunnelkeeper-autossh"


def main() -> NoReturn:
    """Run as tunnelkeeper and exit with its code."""
    collector.freezes = True
    with collector.paused():
        from tunnelkeeper.cli.main import main

    main()


def autossh() -> NoReturn:
    """Run as tunnelkeeper-autossh and exit with its code."""
    collector.freezes = True
    with collector.paused():
        from tunnelkeeper.cli.autossh import main

    main()


def main_or_autossh() -> NoReturn:
    """Run as the program by whose name this process was started."""
    if sys.argv[0].endswith(AUTOSSH):
        autossh()
    main()
