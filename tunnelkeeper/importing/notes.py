"""Notes on the parts of a command that are dropped or have another meaning in the config file.

The notes become comments in the user's file. This module changes no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.autossh.options import IGNORED_KEYWORDS
from tunnelkeeper.core.ssh_directives import DIRECTIVES, Support
from tunnelkeeper.importing.host_table import FALSE_VALUES, SUPPORTED_KEYWORDS, AccountContext
from tunnelkeeper.sshconfig.ssh_g_output import NULL_DEVICE, get_value, keeps_host_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tunnelkeeper.autossh.command_line import AutosshCommand, Monitor
    from tunnelkeeper.autossh.environment import Settings
    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.sshconfig.lookup_request import Answer

_CONVERTED_KEYWORDS = frozenset(
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
"""Keywords of -o that need no note: other keys carry them, or they hold for every tunnel."""

_NOTHING_RUNS = "nothing runs on the server"
_OWN_LOG = "use [supervisor] log_level"
_ON_UP = "on_up runs a program when the tunnel is up"
_KEYWORD_REASONS = {
    "connectionattempts": "attempts are not limited by default; see max_attempts",
    "forwardagent": _NOTHING_RUNS,
    "forwardx11": _NOTHING_RUNS,
    "localcommand": _ON_UP,
    "loglevel": _OWN_LOG,
    "permitlocalcommand": _ON_UP,
    "proxyusefdpass": "not supported",
    "requesttty": _NOTHING_RUNS,
    "stdinnull": _NOTHING_RUNS,
}
_OPTION_REASONS = {
    "A": _NOTHING_RUNS,
    "E": "the log goes to standard error or a file; see `tunnelkeeper logs`",
    "q": _OWN_LOG,
    "t": _NOTHING_RUNS,
    "v": _OWN_LOG,
    "y": "the log goes to standard error or a file; see `tunnelkeeper logs`",
}
_HOST_KEY_KEYWORDS = ("stricthostkeychecking", "userknownhostsfile")
_SILENT_KEYWORDS = SUPPORTED_KEYWORDS | _CONVERTED_KEYWORDS | IGNORED_KEYWORDS.keys()
_HARMLESS_KEYWORDS = {
    name.lower(): "not supported" if directive.is_named else directive.effect
    for name, directive in DIRECTIVES.items()
    if directive.support is Support.HARMLESS
}

_VARIABLE_REASONS = {
    "AUTOSSH_DEBUG": _OWN_LOG,
    "AUTOSSH_FIRST_POLL": "the first keepalive uses the same interval as the others",
    "AUTOSSH_LOGFILE": _OPTION_REASONS["E"],
    "AUTOSSH_LOGLEVEL": _OWN_LOG,
    "AUTOSSH_MESSAGE": "there is no monitoring connection to send it on",
    "AUTOSSH_NTSERVICE": "it applies to Cygwin only",
    "AUTOSSH_PATH": "the tunnel does not run in an ssh process",
    "AUTOSSH_PIDFILE": "`tunnelkeeper status --json` has the process id",
}


def notes_on_command(command: SshCommand, answer: Answer) -> Iterator[str]:
    """Yield notes on the options of ssh."""
    yield from map(str, (*command.refused, *command.ignored))
    for letter, reason in _OPTION_REASONS.items():
        if command.has(letter):
            yield f"-{letter}: {reason}"
    for setting in command.settings:
        if setting.keyword not in _SILENT_KEYWORDS:
            yield f"-o {setting.keyword}={setting.value}: {_reason_for(setting.keyword)}"
    if files := command.values("F"):
        yield (
            f"-F {files[-1]}: its settings for this host became keys where keys exist; jump hosts "
            "are looked up in the file of [supervisor] ssh_config"
        )
    if note := _note_on_host_keys(command, answer):
        yield note
    if get_value(answer, "exitonforwardfailure") == "yes":
        yield (
            "exit_on_forward_failure is optional: without it, a failed forward is retried on the "
            "live connection"
        )


def _note_on_host_keys(command: SshCommand, answer: Answer) -> str:
    """Return the note on host keys that are accepted without a check, or an empty string."""
    policy = (get_value(answer, "stricthostkeychecking") or "").lower()
    own = {keyword for keyword in _HOST_KEY_KEYWORDS if command.setting(keyword)}
    if not (own or command.has("F")) or policy not in {*FALSE_VALUES, "accept-new"}:
        return ""
    written = "no" if policy in FALSE_VALUES else policy
    if not keeps_host_keys(answer):
        return (
            f"StrictHostKeyChecking={written}, UserKnownHostsFile={NULL_DEVICE}: every host "
            "key is accepted, a changed one too, because none is kept. To have it checked, remove "
            "known_hosts"
        )
    if policy in FALSE_VALUES and (command.has("F") or "stricthostkeychecking" in own):
        return (
            f"StrictHostKeyChecking={written}: a new host key is accepted, a changed one is refused"
        )
    return ""


def notes_on_account(context: AccountContext) -> Iterator[str]:
    """Yield a note if another user ran the command."""
    if context.account != context.current_user:
        yield (
            f"It ran as {context.account}, with that user's ssh_config, keys and known_hosts. "
            "Import and run it as that user, or make sure that your own files work."
        )


def notes_on_autossh(
    command: AutosshCommand, monitor: Monitor | None, environment: Mapping[str, str]
) -> Iterator[str]:
    """Yield notes on autossh's own options and variables, except those that became keys."""
    if command.background:
        yield "-f: use `tunnelkeeper up --detach`, or a unit from `tunnelkeeper units install`"
    if monitor is not None:
        port = (
            f"{monitor.port}"
            if monitor.echo_port is None
            else f"{monitor.port}:{monitor.echo_port}"
        )
        yield (
            f"-M {port}: no monitoring port is needed; SSH keepalives check the connection "
            "(keepalive_interval, keepalive_count_max)"
        )
    for name, reason in _VARIABLE_REASONS.items():
        if environment.get(name):
            yield f"{name}={environment[name]}: {reason}"


def note_on_gate_time(settings: Settings) -> str:
    """Return the note on AUTOSSH_GATETIME."""
    if not settings.gate_time:
        return (
            "AUTOSSH_GATETIME=0: no key is needed, because a tunnel that fails at first is tried "
            "again; gate_time = 0 would reset the count of failed attempts at once"
        )
    return (
        "AUTOSSH_GATETIME became gate_time, which never makes a tunnel give up: it is how long the "
        "tunnel must be up before the count of failed attempts is reset"
    )


def _reason_for(keyword: str) -> str:
    reasons = _HARMLESS_KEYWORDS | _KEYWORD_REASONS
    return reasons.get(keyword, "there is no key for it; set it in ssh_config for this host")
