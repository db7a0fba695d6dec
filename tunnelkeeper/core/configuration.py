"""The configuration: hosts, tunnels and their policies. These values have no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from random import Random
from typing import TYPE_CHECKING, Literal

from tunnelkeeper.core.ssh_values import DEFAULT_BIND_MASK, ChannelTimeout, IpQos, RekeyLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.core.health_checks import Check
    from tunnelkeeper.core.permit_remote_open import PermitRules
    from tunnelkeeper.core.token_expansion import Tokens

DEFAULT_SSH_PORT = 22  # RFC 4253 section 4.1

MINIMUM_RSA_SIZE = 1024
"""Bits. OpenSSH accepts no smaller RSA key, whatever RequiredRSASize says (sshkey.h)."""

# Python 3.13 imports SHA-512 for the first seed that is a text. It cannot do that without a free
# descriptor, and then a tunnel would never get its first delay.
Random("")  # noqa: S311

HostKeyPolicy = Literal["strict", "ask", "accept-new"]
AddKeysToAgent = Literal["no", "yes", "ask", "confirm"]
AddressFamily = Literal["any", "inet", "inet6"]


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The settings of a host in the config file. None: not set, so ssh_config decides.

    Durations are seconds. Paths are as written, with `~` and ssh_config's percent tokens.
    `ciphers` and the other algorithm lists use OpenSSH's syntax, with an optional + - or ^.
    """

    hostname: str | None = None
    port: tuple[int, ...] | None = None
    user: str | None = None
    jump: tuple[str, ...] | None = None
    identity_files: tuple[str, ...] | None = None
    certificate_files: tuple[str, ...] | None = None
    identities_only: bool | None = None
    identity_agent: str | None = None
    known_hosts: tuple[str, ...] | None = None
    system_known_hosts: tuple[str, ...] | None = None
    hash_known_hosts: bool | None = None
    check_host_ip: bool | None = None
    host_key_alias: str | None = None
    host_key_policy: HostKeyPolicy | None = None
    address_family: AddressFamily | None = None
    bind_address: str | None = None
    bind_interface: str | None = None
    compression: bool | None = None
    ciphers: str | None = None
    macs: str | None = None
    kex_algorithms: str | None = None
    host_key_algorithms: str | None = None
    pubkey_accepted_algorithms: str | None = None
    ca_signature_algorithms: str | None = None
    required_rsa_size: int | None = None
    revoked_host_keys: tuple[str, ...] | None = None
    permit_remote_open: tuple[str, ...] | None = None
    rekey_limit: tuple[str, ...] | None = None
    ip_qos: tuple[str, ...] | None = None
    tag: str | None = None
    stream_local_bind_mask: tuple[str, ...] | None = None
    stream_local_bind_unlink: bool | None = None
    channel_timeout: tuple[str, ...] | None = None
    known_hosts_command: str | None = None
    proxy_command: str | None = None
    connect_timeout: float | None = None
    keepalive_interval: float | None = None
    keepalive_count_max: int | None = None
    tcp_keepalive: bool | None = None
    batch_mode: bool | None = None
    number_of_password_prompts: int | None = None
    preferred_authentications: tuple[str, ...] | None = None
    pubkey_authentication: bool | None = None
    password_authentication: bool | None = None
    kbd_interactive_authentication: bool | None = None
    add_keys_to_agent: tuple[str, ...] | None = None
    passphrase_command: tuple[str, ...] | None = None
    password_command: tuple[str, ...] | None = None
    keyring: bool | None = None
    update_host_keys: bool | Literal["ask"] | None = None

    def merged_over(self, defaults: HostOptions) -> HostOptions:
        """Return these options, with unset ones taken from `defaults`."""
        merged = {
            f.name: mine
            if (mine := getattr(self, f.name)) is not None
            else getattr(defaults, f.name)
            for f in fields(self)
        }
        return HostOptions(**merged)


@dataclass(frozen=True, slots=True)
class Keepalive:
    """ServerAliveInterval (seconds, 0: off) and ServerAliveCountMax of ssh_config(5)."""

    interval: float = 15.0
    count_max: int = 3


@dataclass(frozen=True, slots=True)
class Host:
    """One resolved hop: how to reach a server, verify it and log in.

    name: its name in the file or the chain, before any lookup. ports are tried in order.
    Paths are absolute. An algorithm list of None is not configured.
    preferred_authentications: empty for ssh's order. batch_mode: no question is asked.
    passphrase_command, password_command: a program and its arguments; empty for none.
    keyring: whether answers are looked up in the keyring of the desktop.
    add_keys_to_agent_lifetime: seconds, 0 for no limit.
    identity_agent: a socket path, or None for no agent. tokens: the values of ssh_config's percent
    tokens, for paths that are expanded later.
    """

    name: str
    hostname: str
    user: str
    ports: tuple[int, ...] = (DEFAULT_SSH_PORT,)
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    user_known_hosts: tuple[str, ...] = ()
    system_known_hosts: tuple[str, ...] = ()
    host_key_alias: str | None = None
    host_key_policy: HostKeyPolicy = "strict"
    hash_known_hosts: bool = False
    check_host_ip: bool = False
    no_host_authentication_for_localhost: bool = False
    address_family: AddressFamily = "any"
    bind_address: str | None = None
    bind_interface: str | None = None
    compression: bool = False
    ciphers: str | None = None
    macs: str | None = None
    kex_algorithms: str | None = None
    host_key_algorithms: str | None = None
    pubkey_accepted_algorithms: str | None = None
    ca_signature_algorithms: str | None = None
    required_rsa_size: int = MINIMUM_RSA_SIZE
    revoked_host_keys: tuple[str, ...] = ()
    permit_remote_open: PermitRules = None
    rekey_limit: RekeyLimit = field(default_factory=RekeyLimit)
    ip_qos: IpQos = field(default_factory=IpQos)
    warn_weak_crypto: bool = False
    stream_local_bind_mask: int = DEFAULT_BIND_MASK
    stream_local_bind_unlink: bool = False
    channel_timeout: tuple[ChannelTimeout, ...] = ()
    known_hosts_command: tuple[str, ...] = ()
    proxy_command: str | None = None
    batch_mode: bool = False
    number_of_password_prompts: int = 3
    preferred_authentications: tuple[str, ...] = ()
    pubkey_authentication: bool = True
    password_authentication: bool = True
    kbd_interactive_authentication: bool = True
    add_keys_to_agent: AddKeysToAgent = "no"
    add_keys_to_agent_lifetime: float = 0.0
    passphrase_command: tuple[str, ...] = ()
    password_command: tuple[str, ...] = ()
    keyring: bool = False
    update_host_keys: bool | Literal["ask"] = False
    connect_timeout: float = 10.0
    keepalive: Keepalive = field(default_factory=Keepalive)
    tcp_keepalive: bool = True
    tokens: Tokens = field(default_factory=dict, compare=False, repr=False)

    @property
    def login_files(self) -> tuple[str, ...]:
        """The files that decide a login: keys, what ssh looks for beside them, and the agent."""
        keys = self.identity_files
        beside = [f"{path}{suffix}" for path in keys for suffix in (".pub", "-cert.pub")]
        agent = () if self.identity_agent is None else (self.identity_agent,)
        return (*keys, *beside, *self.certificate_files, *agent)

    @property
    def host_key_files(self) -> tuple[str, ...]:
        """The files that decide which host key is accepted."""
        return (*self.user_known_hosts, *self.system_known_hosts, *self.revoked_host_keys)

    def __str__(self) -> str:
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.user}@{host}:{self.ports[0]}"


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay between attempts: exponential, with jitter. Durations are seconds.

    jitter: the random part of each delay, 0 to 1. A delay is between (1 - jitter) and 1 times
    its ceiling.
    """

    initial: float = 1.0
    factor: float = 2.0
    max: float = 60.0
    jitter: float = 0.5

    def delay(self, attempt: int, seed: str, cap: float | None = None) -> float:
        """Return the delay after a number of failed attempts (1 or more), at most `cap`.

        The seed is drawn once per tunnel and supervisor: random in production, exact in tests.
        """
        exponent = min(attempt - 1, 64)  # every sensible policy has reached its maximum
        ceiling = min(self.initial * self.factor**exponent, self.max)
        if cap is not None:
            ceiling = min(ceiling, cap)
        fraction = Random(f"{seed}:{attempt}").random()  # noqa: S311  jitter, not a secret
        return ceiling * (1 - self.jitter * fraction)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A name, a host and its forwards: the unit that a user starts and stops.

    host: a [hosts] name, an ssh_config alias or [user@]host[:port]. options: the settings of the
    final host (tunnel over its host over defaults). Durations are seconds; 0 disables them.
    on_up, on_down: a program and its arguments; empty for no hook. checks: the checks of the
    forwards that have one, with check_interval, check_timeout and check_failures resolved.
    """

    name: str
    host: str
    forwards: tuple[Forward, ...] = ()
    options: HostOptions = field(default_factory=HostOptions)
    autostart: bool = True
    groups: tuple[str, ...] = ()
    gate_time: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)
    max_attempts: int = 0
    max_lifetime: float = 0.0
    drain_timeout: float = 300.0
    hold_timeout: float = 10.0
    exit_on_forward_failure: bool = False
    check_interval: float = 60.0
    check_timeout: float = 10.0
    check_failures: int = 3
    on_up: tuple[str, ...] = ()
    on_down: tuple[str, ...] = ()
    hook_timeout: float = 30.0
    checks: Mapping[Forward, Check] = field(default_factory=dict)


LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """The [supervisor] table. ssh_config: a path, None for ssh's default files, False for none."""

    ssh_config: str | Literal[False] | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole config file. hosts: by name, each with [defaults] already applied.

    defaults: the settings of hosts without a [hosts] table. shared_tables: [defaults] and [hosts]
    as the file has them, for tunnels that are opened without being in it.
    """

    path: str
    supervisor: SupervisorOptions = field(default_factory=SupervisorOptions)
    defaults: HostOptions = field(default_factory=HostOptions)
    hosts: dict[str, HostOptions] = field(default_factory=dict)
    tunnels: dict[str, Tunnel] = field(default_factory=dict)
    shared_tables: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
