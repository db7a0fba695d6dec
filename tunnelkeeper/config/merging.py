"""Merging of tables by precedence: tunnel over its host over [defaults]. It checks nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.config.schema import HOST_KEYS, POLICY_KEYS
from tunnelkeeper.core.configuration import (
    Backoff,
    Configuration,
    HostOptions,
    SupervisorOptions,
    Tunnel,
)
from tunnelkeeper.core.health_checks import Check
from tunnelkeeper.core.host_spec import HostSpec, parse_host_spec

if TYPE_CHECKING:
    from tunnelkeeper.config.forward_values import Entry
    from tunnelkeeper.config.sections import Sections, Values
    from tunnelkeeper.core.forward_spec import Forward


def merge(sections: Sections, path: str) -> Configuration:
    """Return the configuration. A tunnel whose host could not be read is left out.

    The jump hosts of [defaults] apply to the final hosts of tunnels only. Otherwise a jump host
    would be reached through itself.
    """
    defaults = _options(sections.defaults)
    for_every_hop = replace(defaults, jump=None)
    hosts = {name: _options(values) for name, values in sections.hosts.items()}
    return Configuration(
        path=path,
        supervisor=SupervisorOptions(**sections.supervisor),
        defaults=defaults,
        hosts={name: _merge_options(options, for_every_hop) for name, options in hosts.items()},
        tunnels={
            name: _tunnel(name, values, sections.defaults, hosts)
            for name, values in sections.tunnels.items()
            if "host" in values
        },
    )


def merge_backoff(values: Values, defaults: Values) -> Backoff:
    """Return a tunnel's backoff: each key over that of [defaults] over the built-in."""
    return Backoff(**{**defaults.get("backoff", {}), **values.get("backoff", {})})


def forward_entries(values: Values) -> tuple[Entry, ...]:
    """Return all forwards of a tunnel: local, remote, SOCKS."""
    return (*values.get("local", ()), *values.get("remote", ()), *values.get("socks", ()))


def _tunnel(name: str, values: Values, defaults: Values, hosts: dict[str, HostOptions]) -> Tunnel:
    host_spec = parse_host_spec(values["host"])
    port = None if host_spec.port is None else (host_spec.port,)
    options = _options(values)
    for lower in (
        HostOptions(user=host_spec.user, port=port),
        hosts.get(host_spec.host, HostOptions()),
        _defaults_for_host(host_spec, defaults),
    ):
        options = _merge_options(options, lower)
    policy = {key: value for key, value in {**defaults, **values}.items() if key in POLICY_KEYS}
    policy["backoff"] = merge_backoff(values, defaults)
    entries = forward_entries(values)
    tunnel = Tunnel(
        name=name,
        host=values["host"],
        forwards=tuple(entry.forward for entry in entries),
        options=options,
        **policy,
    )
    return replace(tunnel, checks=_checks(entries, tunnel))


def _checks(entries: tuple[Entry, ...], tunnel: Tunnel) -> dict[Forward, Check]:
    """Return the check of each forward that has one. The tunnel provides missing settings."""
    general = {
        "interval": tunnel.check_interval,
        "timeout": tunnel.check_timeout,
        "failures": tunnel.check_failures,
    }
    checks = {}
    for entry in entries:
        if entry.probe is not None:
            own = {key.removeprefix("check_"): value for key, value in entry.settings.items()}
            checks[entry.forward] = Check(entry.probe, **{**general, **own})
    return checks


def _options(values: Values) -> HostOptions:
    return HostOptions(**{key: value for key, value in values.items() if key in HOST_KEYS})


def _merge_options(upper: HostOptions, lower: HostOptions) -> HostOptions:
    """Merge two tables.

    jump and proxy_command compete, as ssh_config(5) describes at ProxyJump: the first one that is
    set disables the other.
    """
    if upper.jump is not None or upper.proxy_command is not None:
        lower = replace(lower, jump=None, proxy_command=None)
    return upper.merged_over(lower)


def _defaults_for_host(host_spec: HostSpec, defaults: Values) -> HostOptions:
    """Return [defaults] for a final host.

    A jump host in it is reached through those before it. The list does not apply to the first one.
    """
    options = _options(defaults)
    jump = options.jump or ()
    for index, hop in enumerate(jump):
        if parse_host_spec(hop).is_same_server(host_spec):
            return replace(options, jump=jump[:index] or None)
    return options
