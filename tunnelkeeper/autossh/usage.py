"""The texts of -V and -h, which need no SSH. It prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper import __version__
from tunnelkeeper.autossh.command_line import HELP, VERSION, information_flag
from tunnelkeeper.autossh.ssh_command import CommandLineError

if TYPE_CHECKING:
    from collections.abc import Sequence

EMULATED_VERSION = "1.4g"
"""The version of autossh whose command line is emulated."""

USAGE = """\
usage: autossh [--strict] [-h] [-V] [-M port[:echo_port]] [-f] [SSH_OPTIONS] host [command]

    -M        port of the monitoring loop, 0: none. Overrides AUTOSSH_PORT
    -f        run in the background
    -h        print this help and exit, as --help does
    -V        print the version and exit
    --strict  follow the delays and the gate time of autossh exactly

Environment: AUTOSSH_DEBUG, _FIRST_POLL, _GATETIME, _LOGFILE, _LOGLEVEL, _MAXLIFETIME,
_MAXSTART, _MESSAGE, _PIDFILE, _POLL, _PORT: as in autossh(1). No ssh process is
started: tunnelkeeper connects itself. docs/autossh.md lists every difference.
"""

_INFORMATION = {
    HELP: USAGE,
    VERSION: f"autossh {EMULATED_VERSION} (tunnelkeeper {__version__})\n",
}


def information(arguments: Sequence[str]) -> str | None:
    """Return the text of the option among the arguments that only prints one.

    None means that there is no such option, or that the command line is invalid.
    """
    try:
        flag = information_flag(arguments)
    except CommandLineError:
        return None
    return _INFORMATION[flag] if flag is not None else None
