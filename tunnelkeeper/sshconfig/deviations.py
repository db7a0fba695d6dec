"""Settings of ssh_config for a host that tunnelkeeper does not follow. It only describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.sshconfig.directives_in_effect import find_ignored
from tunnelkeeper.sshconfig.lookup_request import SSH_ONLY
from tunnelkeeper.sshconfig.resolve import ACCEPTS_CHANGED_KEYS
from tunnelkeeper.sshconfig.ssh_g_output import (
    NULL_DEVICE,
    get_value,
    get_values,
    keeps_host_keys,
)

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.resolve import LookupResult


def find_deviations(host: LookupResult, leave_out: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return one sentence for each setting of ssh_config that tunnelkeeper does not follow.

    leave_out: directives that the caller reports.
    """
    deviations = [
        f"{host.name}: {name} of ssh_config is not supported"
        for name in find_ignored(host.answer)
        if name not in leave_out
    ]
    reason = "is not installed"
    if not host.facts.has_account:
        reason = f"does not run for uid {host.facts.uid} without an entry in the user database"
    deviations += [
        f"{host.name}: {name} of ssh_config needs ssh (openssh-client), which {reason}"
        for name in get_values(host.answer, SSH_ONLY)
    ]
    policy = get_value(host.answer, "stricthostkeychecking")
    files = host.options.known_hosts
    is_kept = keeps_host_keys(host.answer) if files is None else set(files) != {NULL_DEVICE}
    # If no key is kept, none is ever a changed one: then "no" and "accept-new" are the same.
    if host.options.host_key_policy is None and policy in ACCEPTS_CHANGED_KEYS and is_kept:
        deviations.append(
            f"{host.name}: StrictHostKeyChecking no of ssh_config is treated as accept-new: "
            "a changed host key is refused"
        )
    return tuple(deviations)
