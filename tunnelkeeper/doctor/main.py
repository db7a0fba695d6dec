"""The entry of doctor: which function carries out which check, and one run of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import select_checks
from tunnelkeeper.core.doctor_checks import CHECKS
from tunnelkeeper.doctor.config_checks import check_config
from tunnelkeeper.doctor.context import Machine, gather
from tunnelkeeper.doctor.login_checks import (
    check_agent,
    check_certificates,
    check_file_modes,
    check_passphrases,
)
from tunnelkeeper.doctor.machine_checks import (
    check_clock,
    check_disk,
    check_open_files,
    check_ssh_command,
)
from tunnelkeeper.doctor.port_checks import check_local_ports, check_other_programs
from tunnelkeeper.doctor.runner import Examine, run_checks
from tunnelkeeper.doctor.supervisor_checks import (
    check_control_socket,
    check_key_exchange,
    check_reload,
    check_supervisor,
    check_tunnels,
    check_version,
)
from tunnelkeeper.doctor.unit_checks import check_unit
from tunnelkeeper.net.core_dumps import disable_core_dumps
from tunnelkeeper.net.process_group import run_with_children
from tunnelkeeper.net.thread_executor import use_daemon_threads
from tunnelkeeper.ssh.asyncssh_logging import silence_asyncssh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tunnelkeeper.core.diagnosis import Finding

EXAMINE: Mapping[str, Examine] = {
    "clock": check_clock,
    "disk": check_disk,
    "config": check_config,
    "ssh_command": check_ssh_command,
    "file_modes": check_file_modes,
    "certificates": check_certificates,
    "passphrases": check_passphrases,
    "agent": check_agent,
    "open_files": check_open_files,
    "supervisor": check_supervisor,
    "control_socket": check_control_socket,
    "version": check_version,
    "reload": check_reload,
    "key_exchange": check_key_exchange,
    "unit": check_unit,
    "local_ports": check_local_ports,
    "other_programs": check_other_programs,
    "tunnels": check_tunnels,
}
"""The function of each check, by its name."""


def run(machine: Machine, names: tuple[str, ...], checks: Iterable[str]) -> list[Finding]:
    """Run checks about tunnels and return their findings, the failed ones first.

    names: of tunnels; empty for all. checks: by name; empty for all.

    Raises KeyError with a name that is no tunnel's.
    """
    disable_core_dumps()
    silence_asyncssh()
    return run_with_children(_run(machine, names, checks))


async def _run(machine: Machine, names: tuple[str, ...], checks: Iterable[str]) -> list[Finding]:
    use_daemon_threads(asyncio.get_running_loop())
    context = await gather(machine, names)
    return await run_checks(select_checks(CHECKS, checks, may_probe=False), EXAMINE, context)
