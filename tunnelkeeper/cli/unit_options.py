"""Unit options from the command line: the program, its options, its addresses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.relay_instance import default_config, existing_config, instance_for
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.systemd.quoting import UnquotableError
from tunnelkeeper.systemd.unit_templates import (
    Credential,
    Ready,
    UnitKind,
    UnitOptions,
    is_unit_name,
    unit_files,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.cli.settings import Settings

PROGRAM = "tunnelkeeper"
SINGLE_FILE = "tunnelkeeper.pyz"
SYSTEM_FOLDER = Path("/etc/tunnelkeeper")
"""The folders of tunnels.toml and relay.toml of a system unit without --config."""


def parse_credentials(plain: tuple[str, ...], encrypted: tuple[str, ...]) -> list[Credential]:
    """Return the credentials of --credential and --encrypted-credential. `~` is the home folder."""
    found = []
    for texts, is_encrypted in ((plain, False), (encrypted, True)):
        for text in texts:
            name, _, path = text.partition(":")
            found.append(Credential(name, os.path.expanduser(path), is_encrypted))  # noqa: PTH111
    return found


def unit_texts(
    settings: Settings,
    kind: UnitKind,
    ready: Ready,
    on_failure: str,
    *,
    is_system: bool = False,
    credentials: Sequence[Credential] = (),
) -> dict[str, str]:
    """Return unit files that start this program with the same options.

    Raises CommandError if a unit file cannot express them, and click.BadParameter.
    """
    if on_failure and not is_unit_name(on_failure):
        raise click.BadParameter(
            f"{on_failure!r} is not the name of a unit", param_hint="--on-failure"
        )
    try:
        if kind is UnitKind.RELAY:
            unit = _relay_options(settings, on_failure, is_system=is_system)
        else:
            options = _options(settings, is_system=is_system)
            unit = UnitOptions(
                program(), options, is_system, ready, on_failure, credentials=credentials
            )
        return unit_files(kind, unit)
    except UnquotableError as error:
        raise CommandError(str(error), ExitCode.USAGE, error.hint) from error
    except ConfigError as error:
        raise CommandError("\n".join(error.lines), ExitCode.USAGE) from error


def program() -> list[str]:
    """Return the command that starts this program: its script or file, or Python with the package.

    Links are not resolved, so that the unit still works after an upgrade moves their target.
    """
    started = Path(sys.argv[0])
    if started.name in {PROGRAM, SINGLE_FILE} and os.access(started, os.X_OK):
        return [os.path.abspath(started)]  # noqa: PTH100  Path.absolute() leaves `..` in it
    return [sys.executable, "-P", "-m", PROGRAM]


def _options(settings: Settings, *, is_system: bool) -> list[str]:
    """Return the options that the service needs because its environment is another one."""
    config = settings.config
    if is_system and settings.config_option is None:
        config = SYSTEM_FOLDER / "tunnels.toml"
    is_default = not is_system and config == _default_folder() / "tunnels.toml"
    options = [] if is_default else ["--config", str(config)]
    if settings.socket_option is not None or os.environ.get("TUNNELKEEPER_SOCKET"):
        options += ["--socket", str(settings.socket)]
    return options


def _relay_options(settings: Settings, on_failure: str, *, is_system: bool) -> UnitOptions:
    instance = instance_for(settings, None)
    config, named = instance.config, instance.is_named
    if is_system and not named:
        config = existing_config(
            paths.RELAY_SYSTEM_FOLDER / paths.RELAY_CONFIG, SYSTEM_FOLDER / paths.RELAY_CONFIG
        )
    is_default = not is_system and config == default_config(_service_environment())
    options = [] if is_default else ["--config", str(config)]
    if settings.socket_option is not None:
        options += ["--socket", str(instance.socket)]
    listen = launch.relay_addresses(config, must_exist=named)
    return UnitOptions(program(), options, is_system, "tried", on_failure, listen)


def _default_folder() -> Path:
    """Return the config folder of a service."""
    return paths.config_path(None, _service_environment()).parent


def _service_environment() -> dict[str, str]:
    """Return the environment of a service, as far as paths depend on it."""
    return {"HOME": str(paths.home(os.environ))}
