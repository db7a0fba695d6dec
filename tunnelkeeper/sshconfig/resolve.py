"""The settings of one Host: config file > ssh_config > built-in default.

This module is pure: it receives the answer of ssh_config and accesses no file.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT, MINIMUM_RSA_SIZE, Host, Keepalive
from tunnelkeeper.core.permit_remote_open import parse_permits
from tunnelkeeper.core.ssh_values import (
    ValueFormatError,
    parse_bind_mask,
    parse_channel_timeouts,
    parse_ip_qos,
    parse_rekey_limit,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import KNOWN_HOSTS_TOKENS
from tunnelkeeper.sshconfig.directives_in_effect import reject_refused
from tunnelkeeper.sshconfig.login_settings import login_settings
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import (
    NONE,
    get_flag,
    get_value,
    get_values,
    split_paths,
)
from tunnelkeeper.sshconfig.tokens import (
    PATH_TOKENS,
    PROXY_TOKENS,
    Destination,
    TokenError,
    expand,
    expand_home,
    expand_path,
    make_absolute,
    tokens_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tunnelkeeper.core.configuration import AddressFamily, HostKeyPolicy, HostOptions
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer
    from tunnelkeeper.sshconfig.tokens import Tokens

_T = TypeVar("_T")

CONNECT_TIMEOUT = 10.0
"""Default seconds to connect to a host; ssh itself has no limit but the kernel's."""
AGENT_SOCKET_VARIABLE = "SSH_AUTH_SOCK"
WARNS_OF_WEAK_CRYPTO = frozenset({"yes", "true", "no-pq-kex"})
ACCEPTS_CHANGED_KEYS = frozenset({"no", "off", "false"})
"""Values of StrictHostKeyChecking that also accept changed keys."""


class LookupResult(Struct, frozen=True):
    """The results of the lookup of one host.

    name: the host's name in the config file or chain. original_host: the host passed to ssh (%n).
    options: settings of the config file. answer: settings of ssh_config. default_answer: settings
    of a host that ssh_config does not mention; an equal algorithm list is ssh's default. jump: the
    last jump host before this host, or empty.
    """

    name: str
    original_host: str
    options: HostOptions
    answer: Answer
    default_answer: Answer
    facts: Facts
    jump: str = ""


def resolve(result: LookupResult) -> Host:
    """Return the host with its final settings.

    Raises SshConfigError.
    """
    options, answer = result.options, result.answer
    reject_refused(result.name, _without_unused_proxy_command(result))
    destination = _destination(result)
    tokens = tokens_for(destination, result.facts)
    return Host(
        name=result.name,
        hostname=destination.hostname,
        user=destination.user,
        ports=options.port or (destination.port,),
        identity_files=_files(result, tokens, "IdentityFile", options.identity_files),
        certificate_files=_files(result, tokens, "CertificateFile", options.certificate_files),
        identities_only=_or_default(
            options.identities_only, get_flag(answer, "identitiesonly", default=False)
        ),
        identity_agent=_identity_agent(result, tokens),
        user_known_hosts=_user_known_hosts(result, tokens),
        system_known_hosts=_system_known_hosts(result),
        known_hosts_command=_known_hosts_command(result, tokens),
        host_key_alias=destination.host_key_alias,
        host_key_policy=options.host_key_policy or _host_key_policy(answer),
        hash_known_hosts=_or_default(
            options.hash_known_hosts, get_flag(answer, "hashknownhosts", default=False)
        ),
        check_host_ip=_or_default(
            options.check_host_ip, get_flag(answer, "checkhostip", default=False)
        ),
        no_host_authentication_for_localhost=get_flag(
            answer, "nohostauthenticationforlocalhost", default=False
        ),
        address_family=options.address_family or _address_family(answer),
        bind_address=options.bind_address or get_value(answer, "bindaddress"),
        bind_interface=options.bind_interface or get_value(answer, "bindinterface"),
        compression=_or_default(
            options.compression, get_flag(answer, "compression", default=False)
        ),
        ciphers=_algorithms(result, options.ciphers, "ciphers"),
        macs=_algorithms(result, options.macs, "macs"),
        kex_algorithms=_algorithms(result, options.kex_algorithms, "kexalgorithms"),
        host_key_algorithms=_algorithms(result, options.host_key_algorithms, "hostkeyalgorithms"),
        pubkey_accepted_algorithms=(
            _algorithms(result, options.pubkey_accepted_algorithms, "pubkeyacceptedalgorithms")
            or _algorithms(result, None, "pubkeyacceptedkeytypes")  # the name before OpenSSH 8.5
        ),
        ca_signature_algorithms=_algorithms(
            result, options.ca_signature_algorithms, "casignaturealgorithms"
        ),
        required_rsa_size=_required_rsa_size(result),
        revoked_host_keys=_revoked_host_keys(result, tokens),
        permit_remote_open=_parsed(
            result, options.permit_remote_open, "PermitRemoteOpen", parse_permits
        ),
        rekey_limit=_parsed(result, options.rekey_limit, "RekeyLimit", parse_rekey_limit),
        ip_qos=_parsed(result, options.ip_qos, "IPQoS", parse_ip_qos),
        channel_timeout=_parsed(
            result, options.channel_timeout, "ChannelTimeout", parse_channel_timeouts
        ),
        stream_local_bind_mask=_parsed(
            result, options.stream_local_bind_mask, "StreamLocalBindMask", parse_bind_mask
        ),
        stream_local_bind_unlink=_or_default(
            options.stream_local_bind_unlink,
            get_flag(answer, "streamlocalbindunlink", default=False),
        ),
        warn_weak_crypto=get_value(answer, "warnweakcrypto") in WARNS_OF_WEAK_CRYPTO,
        proxy_command=_proxy_command(result, tokens),
        connect_timeout=_connect_timeout(result),
        keepalive=_keepalive(result),
        tcp_keepalive=_or_default(
            options.tcp_keepalive, get_flag(answer, "tcpkeepalive", default=True)
        ),
        tokens=tokens,
        **login_settings(result.name, options, answer, result.default_answer),
    )


def jump_hosts(host: LookupResult) -> tuple[str, ...]:
    """Return the hosts of ssh_config's ProxyJump, in connection order.

    Raises SshConfigError.
    """
    jump = get_value(host.answer, "proxyjump")
    if jump is None:
        return ()
    try:
        expanded = expand(jump, tokens_for(_destination(host), host.facts), PROXY_TOKENS)
    except TokenError as error:
        raise _token_error(host, "ProxyJump", jump, error) from None
    return tuple(expanded.split(","))


def _without_unused_proxy_command(host: LookupResult) -> Answer:
    """Return ssh_config's answer without its proxy command, if something else replaces that."""
    if host.options.proxy_command is None and not host.jump:
        return host.answer
    return {key: values for key, values in host.answer.items() if key != "proxycommand"}


def _destination(host: LookupResult) -> Destination:
    port = host.options.port[0] if host.options.port else _integer(host, "port", DEFAULT_SSH_PORT)
    return Destination(
        original_host=host.original_host,
        hostname=get_value(host.answer, "hostname") or host.original_host,
        port=port,
        user=host.options.user or get_value(host.answer, "user") or host.facts.user,
        host_key_alias=host.options.host_key_alias or get_value(host.answer, "hostkeyalias"),
        jump=host.jump,
    )


def _files(
    host: LookupResult, tokens: Tokens, keyword: str, own: tuple[str, ...] | None
) -> tuple[str, ...]:
    values = get_values(host.answer, keyword.lower()) if own is None else own
    return _expand_paths(host, tokens, keyword, values)


def _user_known_hosts(host: LookupResult, tokens: Tokens) -> tuple[str, ...]:
    own = host.options.known_hosts
    values = split_paths(get_value(host.answer, "userknownhostsfile")) if own is None else own
    return _expand_paths(host, tokens, "UserKnownHostsFile", values)


def _system_known_hosts(host: LookupResult) -> tuple[str, ...]:
    own = host.options.system_known_hosts
    files = split_paths(get_value(host.answer, "globalknownhostsfile")) if own is None else own
    try:  # ssh_config(5) allows no tokens here
        return tuple(make_absolute(expand_home(path, host.facts), host.facts) for path in files)
    except TokenError as error:
        raise _token_error(host, "GlobalKnownHostsFile", " ".join(files), error) from None


def _revoked_host_keys(host: LookupResult, tokens: Tokens) -> tuple[str, ...]:
    own = host.options.revoked_host_keys
    values = split_paths(get_value(host.answer, "revokedhostkeys")) if own is None else own
    return _expand_paths(host, tokens, "RevokedHostKeys", values)


def _parsed(
    host: LookupResult,
    own: tuple[str, ...] | None,
    keyword: str,
    parse: Callable[[Sequence[str]], _T],
) -> _T:
    """Return a parsed value. ssh's own default counts as unset."""
    words = own
    if words is None:
        values = host.answer.get(keyword.lower(), [])
        is_default = values == host.default_answer.get(keyword.lower())
        words = () if is_default else tuple(" ".join(values).split())
    try:
        return parse(words)
    except ValueFormatError as error:
        raise SshConfigError(f"{host.name}: {keyword}: {printable(str(error))}") from None


def _known_hosts_command(host: LookupResult, tokens: Tokens) -> tuple[str, ...]:
    """Return the words of the command. Tokens are checked here and expanded at each run."""
    own = host.options.known_hosts_command
    command = get_value(host.answer, "knownhostscommand") if own is None else own
    if command is None or command.lower() == NONE:
        return ()
    try:
        words = tuple(shlex.split(command))
        if not words or not words[0].startswith("/"):
            raise ValueError("expected a program with an absolute path")
        known = {**tokens, **dict.fromkeys(KNOWN_HOSTS_TOKENS, "")}
        for word in words[1:]:
            expand(word, known, PATH_TOKENS | KNOWN_HOSTS_TOKENS, host.facts.environment)
    except ValueError as error:
        raise SshConfigError(
            f"{host.name}: KnownHostsCommand {printable(repr(command))}: {printable(str(error))}"
        ) from None
    return words


def _required_rsa_size(host: LookupResult) -> int:
    """Return the smallest accepted RSA key. As in ssh, a value below the minimum has no effect."""
    own = host.options.required_rsa_size
    size = _integer(host, "requiredrsasize", MINIMUM_RSA_SIZE) if own is None else own
    return max(size, MINIMUM_RSA_SIZE)


def _expand_paths(
    host: LookupResult, tokens: Tokens, keyword: str, values: Iterable[str]
) -> tuple[str, ...]:
    expanded: dict[str, None] = {}
    for value in values:
        if value.lower() != NONE:
            expanded[_expand_path(host, tokens, keyword, value)] = None
    return tuple(expanded)


def _expand_path(host: LookupResult, tokens: Tokens, keyword: str, value: str) -> str:
    try:
        return expand_path(value, tokens, host.facts)
    except TokenError as error:
        raise _token_error(host, keyword, value, error) from None


def _identity_agent(host: LookupResult, tokens: Tokens) -> str | None:
    """Return the agent's socket (IdentityAgent of ssh_config(5)); None if its variable is unset."""
    value = (
        host.options.identity_agent or host.answer.get("identityagent", [AGENT_SOCKET_VARIABLE])[0]
    )
    if value.lower() == NONE:
        return None
    if value == AGENT_SOCKET_VARIABLE:
        value = f"${AGENT_SOCKET_VARIABLE}"
    if value.startswith("$") and not value.startswith("${"):
        return host.facts.environment.get(value[1:]) or None
    return _expand_path(host, tokens, "IdentityAgent", value)


def _proxy_command(host: LookupResult, tokens: Tokens) -> str | None:
    if host.jump:
        return None
    own = host.options.proxy_command
    command = get_value(host.answer, "proxycommand") if own is None else own
    if command is None or command.lower() == NONE:
        return None
    try:
        return expand(command, tokens, PROXY_TOKENS)
    except TokenError as error:
        raise _token_error(host, "ProxyCommand", command, error) from None


def _host_key_policy(answer: Answer) -> HostKeyPolicy:
    value = get_value(answer, "stricthostkeychecking")
    if value == "accept-new" or value in ACCEPTS_CHANGED_KEYS:
        return "accept-new"
    return "ask" if value in {None, "ask"} else "strict"


def _address_family(answer: Answer) -> AddressFamily:
    match get_value(answer, "addressfamily"):
        case "inet":
            return "inet"
        case "inet6":
            return "inet6"
        case _:
            return "any"


def _algorithms(host: LookupResult, own: str | None, keyword: str) -> str | None:
    """Return an algorithm list; None if neither the config file nor ssh_config sets one."""
    if own is not None:
        return own
    value = get_value(host.answer, keyword)
    return None if value == get_value(host.default_answer, keyword) else value


def _connect_timeout(host: LookupResult) -> float:
    if host.options.connect_timeout is not None:
        return host.options.connect_timeout
    return _integer(host, "connecttimeout", 0) or CONNECT_TIMEOUT


def _keepalive(host: LookupResult) -> Keepalive:
    """Return the keepalive settings.

    An interval of 0 is ssh's default (no keepalive), so it counts as unset. Then ssh has no use for
    the count beside it either.
    """
    built_in = Keepalive()
    interval: float = _integer(host, "serveraliveinterval", 0)
    count_max = _integer(host, "serveralivecountmax", built_in.count_max)
    if interval <= 0:
        interval = built_in.interval
        if host.options.keepalive_interval is None:
            count_max = built_in.count_max
    return Keepalive(
        interval=_or_default(host.options.keepalive_interval, interval),
        count_max=_or_default(host.options.keepalive_count_max, count_max),
    )


def _integer(host: LookupResult, keyword: str, default: int) -> int:
    value = get_value(host.answer, keyword)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise SshConfigError(
            f"{host.name}: expected a number for {keyword} of ssh_config, got {printable(value)}"
        ) from None


def _or_default(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _token_error(host: LookupResult, keyword: str, value: str, error: TokenError) -> SshConfigError:
    return SshConfigError(
        f"{host.name}: {keyword} {printable(repr(value))}: {printable(str(error))}",
        "for the tokens that it accepts, see TOKENS in ssh_config(5)",
    )
