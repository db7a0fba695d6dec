"""The plan of a session, from a command line and the output of `ssh -G` for it. It runs nothing.

`ssh -G` combines the command line and ssh_config, so a forward, a command or a flag may come from
either. Forwards are parsed as `ssh -G` prints them: `8080 [db.internal]:5432`, `[*]:1080`,
`/run/a.sock /run/b.sock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from tunnelkeeper.autossh.ssh_command import (
    CommandLineError,
    Purpose,
    SshCommand,
    with_gateway_ports,
)
from tunnelkeeper.core.forward_spec import (
    Address,
    Forward,
    SpecError,
    parse_local,
    parse_remote,
    parse_socks,
    parse_target,
)

Answer = Mapping[str, list[str]]
"""The values of each keyword in lower case, as sshconfig.Answer."""

RequestTty = Literal["no", "auto", "yes", "force"]
"""RequestTTY of ssh_config(5)."""

_REQUEST_TTY: dict[str, RequestTty] = {
    "auto": "auto",
    "force": "force",
    "true": "yes",
    "yes": "yes",
}
_SERVER_PROXY = "[socks]:0"
"""The target that `ssh -G` prints for a remote SOCKS proxy."""

_OPTIONS_NOT_FOR_SSH_G = frozenset("EFGMOQSVfvy")

HONOURED_DIRECTIVES = frozenset({"LocalForward", "RemoteForward", "DynamicForward", "GatewayPorts"})
"""Directives of ssh_config that apply to a command line, but not to tunnels of the config file."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What to do on the connection.

    target: for STDIO. command: the command for the remote shell, or the name of the subsystem.
    environment: variables to set on the server. stdin_is_null: do not read stdin. agent: the
    socket of the agent to forward, or None.
    """

    purpose: Purpose
    forwards: tuple[Forward, ...] = ()
    exit_on_forward_failure: bool = False
    target: Address | None = None
    command: str = ""
    terminal: RequestTty = "auto"
    stdin_is_null: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    agent: str | None = None


def plan_session(line: SshCommand, answer: Answer, environment: Mapping[str, str]) -> SessionPlan:
    """Return what the command line does.

    Raises:
        CommandLineError: The command line is invalid.
    """
    purpose = _purpose(line, answer)
    return SessionPlan(
        purpose=purpose,
        forwards=configured_forwards(answer),
        exit_on_forward_failure=_is_yes(answer, "exitonforwardfailure"),
        target=_target(line) if purpose is Purpose.STDIO else None,
        command=" ".join(line.command) or _remote_command(answer),
        terminal=_REQUEST_TTY.get(_first(answer, "requesttty"), "no"),
        stdin_is_null=_is_yes(answer, "stdinnull"),
        environment=tuple(_sent_environment(answer, environment).items()),
        agent=_agent(answer, environment),
    )


def wants_terminal(request_tty: RequestTty, purpose: Purpose, *, stdin_is_terminal: bool) -> bool:
    """Return whether to request a terminal from the server: ssh.c."""
    match request_tty:
        case "force":
            return True
        case "yes":
            return stdin_is_terminal
        case "auto":
            return stdin_is_terminal and purpose is Purpose.SHELL
    return False


def _purpose(line: SshCommand, answer: Answer) -> Purpose:
    if line.purpose is Purpose.STDIO:
        return Purpose.STDIO
    match _first(answer, "sessiontype"):
        case "none":
            return Purpose.FORWARD
        case "subsystem":
            return Purpose.SUBSYSTEM
    runs = line.command or _remote_command(answer)
    return Purpose.COMMAND if runs else Purpose.SHELL


def _remote_command(answer: Answer) -> str:
    command = _first(answer, "remotecommand")
    return "" if command == "none" else command


def _target(line: SshCommand) -> Address:
    spec = line.values("W")[-1]
    try:
        return parse_target(spec)
    except SpecError as error:
        raise CommandLineError(f"-W {spec}: {error}") from None


def configured_forwards(answer: Answer) -> tuple[Forward, ...]:
    """Return the forwards that ssh would make.

    Raises:
        CommandLineError: A forward is invalid.
    """
    if _is_yes(answer, "clearallforwardings"):
        return ()
    gateway = has_gateway_ports(answer)
    local = answer.get("localforward", [])
    # A local forward to a path is printed as a dynamic one too: dump_cfg_forwards() of readconf.c.
    printed_twice = {listen for listen, _, target in map(_split_ends, local) if target[:1] != "["}
    return (
        *(_parse_local(value, gateway=gateway) for value in local),
        *(_parse_remote(value) for value in answer.get("remoteforward", [])),
        *(
            _parse_socks(value, gateway=gateway)
            for value in answer.get("dynamicforward", [])
            if value not in printed_twice
        ),
    )


def _split_ends(value: str) -> tuple[str, str, str]:
    return value.rpartition(" ")


def has_gateway_ports(answer: Answer) -> bool:
    """Return whether local forwards without an address listen on all interfaces."""
    return _is_yes(answer, "gatewayports")


def _parse_local(value: str, *, gateway: bool) -> Forward:
    try:
        forward = parse_local(_join_ends(value))
    except SpecError as error:
        raise CommandLineError(f"LocalForward {value}: {error}") from None
    return with_gateway_ports(forward, value) if gateway else forward


def _parse_remote(value: str) -> Forward:
    listen, _, connect = value.rpartition(" ")
    try:
        return parse_remote(_as_end(listen) if connect == _SERVER_PROXY else _join_ends(value))
    except SpecError as error:
        raise CommandLineError(f"RemoteForward {value}: {error}") from None


def _parse_socks(value: str, *, gateway: bool) -> Forward:
    try:
        forward = parse_socks(_as_end(value))
    except SpecError as error:
        raise CommandLineError(f"DynamicForward {value}: {error}") from None
    return with_gateway_ports(forward, value) if gateway else forward


def _join_ends(value: str) -> str:
    """Join both ends into one spec of ssh(1). Only paths contain spaces, the second one rarely."""
    listen, _, connect = value.rpartition(" ")
    return f"{_as_end(listen)}:{_as_end(connect)}"


def _as_end(text: str) -> str:
    """Return an end as a spec has it: `*` for all interfaces, a path as it is, in brackets."""
    if text.startswith("[]:"):
        return f"*{text[2:]}"
    is_path = "/" in text and "]" not in text
    return f"[{text}]" if is_path else text


def _sent_environment(answer: Answer, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to set on the server: SendEnv and SetEnv of ssh_config(5)."""
    patterns = [word for value in answer.get("sendenv", []) for word in value.split()]
    sent = {n: v for n, v in environment.items() if any(fnmatchcase(n, p) for p in patterns)}
    for value in answer.get("setenv", []):
        name, sign, text = value.partition("=")
        if sign:
            sent.setdefault(name, text)
    return sent


def _agent(answer: Answer, environment: Mapping[str, str]) -> str | None:
    """Resolve ForwardAgent of ssh_config(5): yes, a socket path, or a variable with the path."""
    value = _first(answer, "forwardagent")
    if value.startswith("/"):
        return value
    if value.startswith("$"):
        return environment.get(value[1:]) or None
    return environment.get("SSH_AUTH_SOCK") or None if value in {"yes", "true"} else None


def _first(answer: Answer, keyword: str) -> str:
    return next(iter(answer.get(keyword, [])), "")


def _is_yes(answer: Answer, keyword: str) -> bool:
    return _first(answer, keyword).lower() in {"yes", "true"}


def ssh_g_options(line: SshCommand) -> tuple[str, ...]:
    """Return the options for `ssh -G`: those that affect the settings of the host.

    -F is omitted, and so are options that make ssh write, listen or control another ssh.
    """
    arguments: list[str] = []
    for option in line.options:
        if option.letter not in _OPTIONS_NOT_FOR_SSH_G:
            arguments += [f"-{option.letter}"] + ([] if option.value is None else [option.value])
    return tuple(arguments)
