"""Makes one Host of what the config file and ssh_config say: file > ssh_config > built-in.

Pure: the answer of ssh_config is handed in, and no path is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT, Host, Keepalive
from tunnelkeeper.core.text import printable
from tunnelkeeper.sshconfig.lookup_request import FOR_SSH_ALONE, SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import NONE, paths, setting, settings, switch
from tunnelkeeper.sshconfig.tokens import (
    IN_PROXIES,
    Destination,
    TokenError,
    absolute,
    expand,
    expand_home,
    expand_path,
    tokens_for,
)
from tunnelkeeper.sshconfig.unsupported_directives import unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.core.configuration import AddressFamily, HostKeyPolicy, HostOptions
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer
    from tunnelkeeper.sshconfig.tokens import Tokens

_T = TypeVar("_T")

CONNECT_TIMEOUT = 10.0
"""Seconds to connect to a host where nobody says; ssh itself would wait for the kernel."""
AGENT_VARIABLE = "SSH_AUTH_SOCK"
TRUSTING = frozenset({"no", "off", "false"})
"""StrictHostKeyChecking that accepts changed keys as well."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A host with all that is known of it. name: as file or chain call it; asked: as ssh was told.

    options: what the file says. answer: what ssh_config says. unchosen: what ssh_config says of a
    host that it says nothing of; a list of algorithms that equals it was chosen by nobody.
    jump: the last jump host on the way, or empty.
    """

    name: str
    asked: str
    options: HostOptions
    answer: Answer
    unchosen: Answer
    facts: Facts
    jump: str = ""


def resolve(host: Asked) -> Host:
    """The host, with everything decided.

    Raises SshConfigError.
    """
    options, answer = host.options, host.answer
    destination = _destination(host)
    tokens = tokens_for(destination, host.facts)
    return Host(
        name=host.name,
        hostname=destination.hostname,
        user=destination.user,
        ports=options.port or (destination.port,),
        identity_files=_files(host, tokens, "IdentityFile", options.identity_files),
        certificate_files=_files(host, tokens, "CertificateFile", options.certificate_files),
        identities_only=_either(
            options.identities_only, switch(answer, "identitiesonly", default=False)
        ),
        identity_agent=_identity_agent(host, tokens),
        user_known_hosts=_user_known_hosts(host, tokens),
        system_known_hosts=_system_known_hosts(host),
        host_key_alias=destination.host_key_alias,
        host_key_policy=options.host_key_policy or _host_key_policy(answer),
        hash_known_hosts=switch(answer, "hashknownhosts", default=False),
        address_family=options.address_family or _address_family(answer),
        bind_address=options.bind_address or setting(answer, "bindaddress"),
        compression=_either(options.compression, switch(answer, "compression", default=False)),
        ciphers=_chosen(host, options.ciphers, "ciphers"),
        macs=_chosen(host, options.macs, "macs"),
        kex_algorithms=_chosen(host, options.kex_algorithms, "kexalgorithms"),
        host_key_algorithms=_chosen(host, options.host_key_algorithms, "hostkeyalgorithms"),
        pubkey_accepted_algorithms=(
            _chosen(host, None, "pubkeyacceptedalgorithms")
            or _chosen(host, None, "pubkeyacceptedkeytypes")  # its name before OpenSSH 8.5
        ),
        proxy_command=_proxy_command(host, tokens),
        connect_timeout=_connect_timeout(host),
        keepalive=_keepalive(host),
        tcp_keepalive=_either(options.tcp_keepalive, switch(answer, "tcpkeepalive", default=True)),
    )


def jumps_of(host: Asked) -> tuple[str, ...]:
    """The references of ssh_config's ProxyJump, in the order they are passed.

    Raises SshConfigError.
    """
    jump = setting(host.answer, "proxyjump")
    if jump is None:
        return ()
    try:
        expanded = expand(jump, tokens_for(_destination(host), host.facts), IN_PROXIES)
    except TokenError as error:
        raise _refused(host, "ProxyJump", jump, error) from None
    return tuple(expanded.split(","))


def remarks_on(host: Asked) -> tuple[str, ...]:
    """What ssh_config says of the host that is not done as it says, one sentence each."""
    remarks = [
        f"{host.name}: {name} of ssh_config is not supported" for name in unsupported(host.answer)
    ]
    remarks += [
        f"{host.name}: {name} of ssh_config needs ssh (openssh-client), which is not installed"
        for name in settings(host.answer, FOR_SSH_ALONE)
    ]
    policy = setting(host.answer, "stricthostkeychecking")
    if host.options.host_key_policy is None and policy in TRUSTING:
        remarks.append(
            f"{host.name}: StrictHostKeyChecking no of ssh_config is treated as accept-new: "
            "a changed host key is refused"
        )
    return tuple(remarks)


def _destination(host: Asked) -> Destination:
    port = host.options.port[0] if host.options.port else _integer(host, "port", DEFAULT_SSH_PORT)
    return Destination(
        asked=host.asked,
        hostname=setting(host.answer, "hostname") or host.asked,
        port=port,
        user=host.options.user or setting(host.answer, "user") or host.facts.user,
        host_key_alias=host.options.host_key_alias or setting(host.answer, "hostkeyalias"),
        jump=host.jump,
    )


def _files(
    host: Asked, tokens: Tokens, keyword: str, own: tuple[str, ...] | None
) -> tuple[str, ...]:
    values = settings(host.answer, keyword.lower()) if own is None else own
    return _paths(host, tokens, keyword, values)


def _user_known_hosts(host: Asked, tokens: Tokens) -> tuple[str, ...]:
    own = host.options.known_hosts
    values = paths(setting(host.answer, "userknownhostsfile")) if own is None else own
    return _paths(host, tokens, "UserKnownHostsFile", values)


def _system_known_hosts(host: Asked) -> tuple[str, ...]:
    files = paths(setting(host.answer, "globalknownhostsfile"))
    try:  # no tokens here: ssh_config(5)
        return tuple(absolute(expand_home(path, host.facts), host.facts) for path in files)
    except TokenError as error:
        raise _refused(host, "GlobalKnownHostsFile", " ".join(files), error) from None


def _paths(host: Asked, tokens: Tokens, keyword: str, values: Iterable[str]) -> tuple[str, ...]:
    expanded: dict[str, None] = {}
    for value in values:
        if value.lower() != NONE:
            expanded[_path(host, tokens, keyword, value)] = None
    return tuple(expanded)


def _path(host: Asked, tokens: Tokens, keyword: str, value: str) -> str:
    try:
        return expand_path(value, tokens, host.facts)
    except TokenError as error:
        raise _refused(host, keyword, value, error) from None


def _identity_agent(host: Asked, tokens: Tokens) -> str | None:
    """The agent's socket: ssh_config(5), IdentityAgent. A variable that is not set is no agent."""
    said = host.options.identity_agent or host.answer.get("identityagent", [AGENT_VARIABLE])[0]
    if said.lower() == NONE:
        return None
    if said == AGENT_VARIABLE:
        said = f"${AGENT_VARIABLE}"
    if said.startswith("$") and not said.startswith("${"):
        return host.facts.environment.get(said[1:]) or None
    return _path(host, tokens, "IdentityAgent", said)


def _proxy_command(host: Asked, tokens: Tokens) -> str | None:
    if host.jump:
        return None
    own = host.options.proxy_command
    command = setting(host.answer, "proxycommand") if own is None else own
    if command is None or command.lower() == NONE:
        return None
    try:
        return expand(command, tokens, IN_PROXIES)
    except TokenError as error:
        raise _refused(host, "ProxyCommand", command, error) from None


def _host_key_policy(answer: Answer) -> HostKeyPolicy:
    said = setting(answer, "stricthostkeychecking")
    return "accept-new" if said == "accept-new" or said in TRUSTING else "strict"


def _address_family(answer: Answer) -> AddressFamily:
    match setting(answer, "addressfamily"):
        case "inet":
            return "inet"
        case "inet6":
            return "inet6"
        case _:
            return "any"


def _chosen(host: Asked, own: str | None, keyword: str) -> str | None:
    """A list of algorithms, or None where neither the file nor ssh_config chose one."""
    said = setting(host.answer, keyword)
    if own is None and said == setting(host.unchosen, keyword):
        return None
    return said


def _connect_timeout(host: Asked) -> float:
    if host.options.connect_timeout is not None:
        return host.options.connect_timeout
    return _integer(host, "connecttimeout", 0) or CONNECT_TIMEOUT


def _keepalive(host: Asked) -> Keepalive:
    """The default of ssh is no keepalive at all (0), so a 0 there is nobody's wish."""
    built_in = Keepalive()
    interval: float = _integer(host, "serveraliveinterval", 0)
    count_max = _integer(host, "serveralivecountmax", built_in.count_max)
    if interval <= 0:
        interval, count_max = built_in.interval, built_in.count_max
    return Keepalive(
        interval=_either(host.options.keepalive_interval, interval),
        count_max=_either(host.options.keepalive_count_max, count_max),
    )


def _integer(host: Asked, keyword: str, default: int) -> int:
    said = setting(host.answer, keyword)
    if said is None:
        return default
    try:
        return int(said)
    except ValueError:
        raise SshConfigError(
            f"{host.name}: expected a number for {keyword} of ssh_config, got {printable(said)}"
        ) from None


def _either(own: _T | None, other: _T) -> _T:
    return other if own is None else own


def _refused(host: Asked, keyword: str, value: str, error: TokenError) -> SshConfigError:
    return SshConfigError(
        f"{host.name}: {keyword} {printable(repr(value))}: {printable(str(error))}",
        "ssh_config(5) says under TOKENS what may stand there",
    )
