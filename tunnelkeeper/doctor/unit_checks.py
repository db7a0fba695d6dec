"""Checks of the supervisor's systemd unit, if one is installed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from tunnelkeeper.core.diagnosis import Result, Status
from tunnelkeeper.systemd import systemctl, unit_files
from tunnelkeeper.systemd.systemctl import NoServiceManagerError, SystemctlError
from tunnelkeeper.systemd.unit_templates import SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.doctor.context import Context

_BOOTED = "run/systemd/system"
"""The folder that exists where systemd is the init process (sd_booted(3)); it is in few containers
and not on macOS."""

_AGENT_VARIABLE = re.compile(r'^Environment=.*?"?SSH_AUTH_SOCK=', re.MULTILINE)


async def check_unit(context: Context) -> Iterable[Result]:
    """Check the unit of the supervisor, and what systemd makes of it."""
    if SUPERVISOR not in unit_files.own_units(context.machine.units):
        if not (context.machine.root / _BOOTED).is_dir():
            return []
        text = "no unit is installed, so nothing starts the tunnels at boot"
        return [Result(Status.INFO, text, "tunnelkeeper units install --now")]
    return await asyncio.to_thread(lambda: list(_unit_results(context)))


def _unit_results(context: Context) -> Iterator[Result]:
    try:
        systemctl.require_manager()
        shown = systemctl.run_systemctl(
            "show", "--property=UnitFileState,ActiveState,NeedDaemonReload,Environment", SUPERVISOR
        )
        unit = systemctl.cat_unit(SUPERVISOR, is_user=True)
        manager = systemctl.run_systemctl("show-environment")
    except (NoServiceManagerError, SystemctlError) as error:
        yield Result(Status.WARNING, f"{SUPERVISOR} is installed, and {error}")
        return
    properties = dict(line.partition("=")[::2] for line in shown.splitlines())
    if properties.get("UnitFileState") != "enabled":
        text = f"{SUPERVISOR} is installed and not enabled, so it does not start at boot"
        yield Result(Status.WARNING, text, f"systemctl --user enable --now {SUPERVISOR}")
    if properties.get("ActiveState") == "failed":
        text = f"{SUPERVISOR} has failed"
        yield Result(Status.FAILED, text, f"journalctl --user -u {SUPERVISOR} -n 20")
    if properties.get("NeedDaemonReload") == "yes":
        text = f"{SUPERVISOR} has changed, and systemd has not read it again"
        yield Result(Status.WARNING, text, "systemctl --user daemon-reload")
    if systemctl.is_lingering() is False:
        text = "services of this user start at its first login, and end with its last session"
        yield Result(Status.WARNING, text, "loginctl enable-linger")
    uses_agent = any(host.identity_agent for host, _ in context.hops())
    knows_agent = "SSH_AUTH_SOCK=" in manager or _AGENT_VARIABLE.search(unit)
    if context.machine.environment.get("SSH_AUTH_SOCK") and uses_agent and not knows_agent:
        text = f"{SUPERVISOR} does not know SSH_AUTH_SOCK, so it cannot use your agent"
        yield Result(Status.WARNING, text, "systemctl --user import-environment SSH_AUTH_SOCK")
