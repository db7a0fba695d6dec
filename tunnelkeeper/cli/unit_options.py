"""From the command line to the units that are wanted: the program, its options, its addresses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.relay_instance import instance_for
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.systemd.quoting import UnquotableError
from tunnelkeeper.systemd.unit_templates import (
    Ready,
    UnitKind,
    UnitOptions,
    is_unit_name,
    unit_files,
)

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

PROGRAM = "tunnelkeeper"
SYSTEM_FOLDER = Path("/etc/tunnelkeeper")
"""Where a unit of the system looks for tunnels.toml and relay.toml, unless --config names one."""


def unit_texts(
    settings: Settings, kind: UnitKind, ready: Ready, on_failure: str, *, is_system: bool = False
) -> dict[str, str]:
    """The unit files that start this very program as it would be started now.

    Raises Failed where no unit file can say so, and click.BadParameter.
    """
    if on_failure and not is_unit_name(on_failure):
        raise click.BadParameter(f"{on_failure!r} is no unit's name", param_hint="--on-failure")
    try:
        if kind is UnitKind.RELAY:
            wishes = _of_relay(settings, on_failure, is_system=is_system)
        else:
            options = _options(settings, is_system=is_system)
            wishes = UnitOptions(program(), options, is_system, ready, on_failure)
        return unit_files(kind, wishes)
    except UnquotableError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except ConfigError as error:
        raise CommandError("\n".join(map(str, error.problems)), ExitCode.USAGE) from error


def program() -> list[str]:
    """The words that start this program again: its command, or Python with its package.

    Links are not followed, so that a unit still holds when an upgrade moves what they lead to.
    """
    started = Path(sys.argv[0])
    if started.name == PROGRAM and os.access(started, os.X_OK):
        return [os.path.abspath(started)]  # noqa: PTH100  Path.absolute() leaves `..` in it
    return [sys.executable, "-P", "-m", PROGRAM]


def _options(settings: Settings, *, is_system: bool) -> list[str]:
    """What has to be said because the service's environment is not that of this command."""
    config = settings.config
    if is_system and settings.config_option is None:
        config = SYSTEM_FOLDER / "tunnels.toml"
    is_usual = not is_system and config == _usual_folder() / "tunnels.toml"
    options = [] if is_usual else ["--config", str(config)]
    if settings.socket_option is not None or os.environ.get("TUNNELKEEPER_SOCKET"):
        options += ["--socket", str(settings.socket)]
    return options


def _of_relay(settings: Settings, on_failure: str, *, is_system: bool) -> UnitOptions:
    instance = instance_for(settings, None)
    config, named = instance.config, instance.is_named
    if is_system and not named:
        config = SYSTEM_FOLDER / "relay.toml"
    is_usual = not is_system and config == _usual_folder() / "relay.toml"
    options = [] if is_usual else ["--config", str(config)]
    if settings.socket_option is not None:
        options += ["--socket", str(instance.socket)]
    listen = launch.relay_addresses(config, must_exist=named)
    return UnitOptions(program(), options, is_system, "tried", on_failure, listen)


def _usual_folder() -> Path:
    """Where a service looks that knows nothing but its user's home."""
    return paths.config_path(None, {"HOME": str(paths.home(os.environ))}).parent
