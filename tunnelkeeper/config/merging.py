"""Puts the tables of a file one over the other: tunnel over its host over [defaults].

It checks nothing: what the tables say has been read, and what they mean together is checked
elsewhere.
"""

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
    """The configuration that the sections make. A tunnel whose host could not be read is left out.

    The jump hosts of [defaults] are for the final hosts of tunnels only: a host that is jumped
    through would jump through itself.
    """
    defaults = _options(sections.defaults)
    for_every_hop = replace(defaults, jump=None)
    hosts = {name: _options(values) for name, values in sections.hosts.items()}
    return Configuration(
        path=path,
        supervisor=SupervisorOptions(**sections.supervisor),
        defaults=defaults,
        hosts={name: _over(options, for_every_hop) for name, options in hosts.items()},
        tunnels={
            name: _tunnel(name, values, sections.defaults, hosts)
            for name, values in sections.tunnels.items()
            if "host" in values
        },
    )


def backoff_of(values: Values, defaults: Values) -> Backoff:
    """A tunnel's backoff: each of its parts over that of [defaults] over the built-in."""
    return Backoff(**{**defaults.get("backoff", {}), **values.get("backoff", {})})


def entries_of(values: Values) -> tuple[Entry, ...]:
    """All forwards of a tunnel, -L then -R then -D."""
    return (*values.get("local", ()), *values.get("remote", ()), *values.get("socks", ()))


def _tunnel(name: str, values: Values, defaults: Values, hosts: dict[str, HostOptions]) -> Tunnel:
    reference = parse_host_spec(values["host"])
    port = None if reference.port is None else (reference.port,)
    options = _options(values)
    for lower in (
        HostOptions(user=reference.user, port=port),
        hosts.get(reference.host, HostOptions()),
        _defaults_for(reference, defaults),
    ):
        options = _over(options, lower)
    policy = {key: value for key, value in {**defaults, **values}.items() if key in POLICY_KEYS}
    policy["backoff"] = backoff_of(values, defaults)
    entries = entries_of(values)
    tunnel = Tunnel(
        name=name,
        host=values["host"],
        forwards=tuple(entry.forward for entry in entries),
        options=options,
        **policy,
    )
    return replace(tunnel, checks=_checks(entries, tunnel))


def _checks(entries: tuple[Entry, ...], tunnel: Tunnel) -> dict[Forward, Check]:
    """How each forward that names a check is checked: what it does not say, the tunnel does."""
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


def _over(upper: HostOptions, lower: HostOptions) -> HostOptions:
    """Both in one. jump and proxy_command compete, as ssh_config(5) has it under ProxyJump.

    So whoever says one of them first keeps the other from taking effect.
    """
    if upper.jump is not None or upper.proxy_command is not None:
        lower = replace(lower, jump=None, proxy_command=None)
    return upper.merged_over(lower)


def _defaults_for(reference: HostSpec, defaults: Values) -> HostOptions:
    """[defaults] for a final host; one of its own jump hosts is reached by those before it."""
    options = _options(defaults)
    jump = options.jump or ()
    for index, hop in enumerate(jump):
        if parse_host_spec(hop).is_same_server(reference):
            return replace(options, jump=jump[:index])
    return options
