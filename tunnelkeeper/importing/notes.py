"""What to tell of the parts of an old line that were dropped, or that mean something else here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.autossh.options import IGNORED_KEYWORDS
from tunnelkeeper.importing.host_table import KEYWORDS, Place
from tunnelkeeper.sshconfig.ssh_g_output import get_value
from tunnelkeeper.sshconfig.unsupported_directives import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tunnelkeeper.autossh.command_line import AutosshCommand, Monitor
    from tunnelkeeper.autossh.environment import Settings
    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.sshconfig.lookup_request import Answer

_CARRIED = frozenset(
    [
        "clearallforwardings",
        "dynamicforward",
        "exitonforwardfailure",
        "gatewayports",
        "localforward",
        "remoteforward",
        "sessiontype",
    ]
)
"""Keywords behind -o that are in the table in another way, or say what any tunnel is."""

_NO = frozenset({"no", "off", "false"})
_KEYS_ONLY = "keys are the only way to log in here"
_NOTHING_RUNS = "nothing runs on the server"
_OWN_LOG = "[supervisor] has log_level"
_HOOKS = "on_up runs a program when the tunnel is up"
_KEYWORDS = {
    "challengeresponseauthentication": _KEYS_ONLY,
    "connectionattempts": "it is tried again for ever; see max_attempts",
    "forwardagent": _NOTHING_RUNS,
    "forwardx11": _NOTHING_RUNS,
    "kbdinteractiveauthentication": _KEYS_ONLY,
    "localcommand": _HOOKS,
    "loglevel": _OWN_LOG,
    "passwordauthentication": _KEYS_ONLY,
    "permitlocalcommand": _HOOKS,
    "preferredauthentications": _KEYS_ONLY,
    "proxyusefdpass": "not supported",
    "pubkeyauthentication": _KEYS_ONLY,
    "requesttty": _NOTHING_RUNS,
    "stdinnull": _NOTHING_RUNS,
    "streamlocalbindmask": "a socket file that is made here has the mode 0600",
    "streamlocalbindunlink": "a stale socket file is always replaced",
    "visualhostkey": "nothing is ever asked",
}
_LETTERS = {
    "A": _NOTHING_RUNS,
    "E": "the log is standard error or a file; see `tunnelkeeper logs`",
    "P": "it selects parts of ssh_config, and tunnels have no such tag",
    "q": _OWN_LOG,
    "t": _NOTHING_RUNS,
    "v": _OWN_LOG,
    "y": "the log is standard error or a file; see `tunnelkeeper logs`",
}
_UNSUPPORTED = frozenset(name.lower() for name in UNSUPPORTED)

_VARIABLES = {
    "AUTOSSH_DEBUG": _OWN_LOG,
    "AUTOSSH_FIRST_POLL": "the first keepalive is sent as soon as the others would be",
    "AUTOSSH_LOGFILE": _LETTERS["E"],
    "AUTOSSH_LOGLEVEL": _OWN_LOG,
    "AUTOSSH_MESSAGE": "there is no monitoring loop that it could go round",
    "AUTOSSH_NTSERVICE": "it is for Cygwin",
    "AUTOSSH_PATH": "no ssh process carries the tunnel",
    "AUTOSSH_PIDFILE": "`tunnelkeeper status --json` has the process id",
}


def on_line(line: SshCommand, answer: Answer) -> Iterator[str]:
    """What to tell of the options of ssh."""
    yield from map(str, (*line.refused, *line.ignored))
    for letter, why in _LETTERS.items():
        if line.has(letter):
            yield f"-{letter}: {why}"
    for said in line.settings:
        if said.keyword in KEYWORDS or said.keyword in _CARRIED or said.keyword in IGNORED_KEYWORDS:
            continue
        yield f"-o {said.keyword}={said.value}: {_why(said.keyword)}"
    if files := line.values("F"):
        yield (
            f"-F {files[-1]}: what it says of this host became keys, where there are keys for it; "
            "jump hosts are looked up in the one file of [supervisor] ssh_config"
        )
    policy = get_value(answer, "stricthostkeychecking") or ""
    if policy.lower() in _NO and (files or line.setting("stricthostkeychecking")):
        yield "StrictHostKeyChecking=no: a new host key is accepted, a changed one is refused"
    if get_value(answer, "exitonforwardfailure") == "yes":
        yield (
            "exit_on_forward_failure can be left out: a forward that fails is then tried again on "
            "the live connection"
        )


def on_account(place: Place) -> Iterator[str]:
    """What to tell where another user ran the line."""
    if place.account != place.user:
        yield (
            f"It ran as {place.account}, with that user's ssh_config, keys and known_hosts. Import "
            "and run it as that user, or see that yours will do."
        )


def on_autossh(
    line: AutosshCommand, monitor: Monitor | None, environment: Mapping[str, str]
) -> Iterator[str]:
    """What to tell of autossh's own options and variables, but for those that became keys."""
    if line.background:
        yield "-f: `tunnelkeeper up --detach`, or a unit by `tunnelkeeper units install`"
    if monitor is not None:
        port = (
            f"{monitor.port}"
            if monitor.echo_port is None
            else f"{monitor.port}:{monitor.echo_port}"
        )
        yield (
            f"-M {port}: no monitoring port is needed; the keepalives of SSH itself watch over the "
            "connection (keepalive_interval, keepalive_count_max)"
        )
    for name, why in _VARIABLES.items():
        if environment.get(name):
            yield f"{name}={environment[name]}: {why}"


def on_gate_time(settings: Settings) -> str:
    """What to tell of AUTOSSH_GATETIME."""
    if not settings.gate_time:
        return (
            "AUTOSSH_GATETIME=0: nothing is given up here because it fails at first, so no key is "
            "needed; gate_time = 0 would forget failed attempts at once"
        )
    return (
        "AUTOSSH_GATETIME is gate_time, which never gives up: it is how long the tunnel has to be "
        "up until the failed attempts before are forgotten"
    )


def _why(keyword: str) -> str:
    if keyword not in _KEYWORDS and keyword in _UNSUPPORTED:
        return "not supported"
    return _KEYWORDS.get(keyword, "there is no key for it; write it into ssh_config for this host")
