"""`tunnelkeeper relay init|add|remove`: set up a relay, its boxes and its people."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper import paths
from tunnelkeeper.cli import launch
from tunnelkeeper.cli.help_text import RelayCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.relay_instance import config_of, connect, instance_for
from tunnelkeeper.cli.settings import WORK_TIMEOUT, CommandError
from tunnelkeeper.cli.unit_options import unit_texts
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.forward_spec import SpecError, TcpAddress, parse_listen
from tunnelkeeper.systemd import unit_files
from tunnelkeeper.systemd.unit_files import ForeignUnitError
from tunnelkeeper.systemd.unit_templates import UnitKind

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

SYSTEM_UNITS_FOLDER = Path("/etc/systemd/system")
SYSTEM_STATE_FOLDER = Path("/var/lib/tunnelkeeper-relay")
"""The folder that the system unit can write (StateDirectory)."""

KEY_SIZE_LIMIT = 64 * 1024
_config = click.option("--config", metavar="FILE", help="The config file, relay.toml.")
_json = json_option("Print the result as JSON.")


def _parse_address(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> TcpAddress | None:
    if text is None:
        return None
    try:
        return launch.parse_public_address(text)
    except SpecError as error:
        raise click.BadParameter(str(error)) from error


def _parse_listen(_context: click.Context, _option: click.Parameter, text: str) -> TcpAddress:
    try:
        address = parse_listen(text)
    except SpecError as error:
        raise click.BadParameter(str(error)) from error
    if not isinstance(address, TcpAddress):
        raise click.BadParameter("the relay listens on TCP only")
    return address


_address = click.option(
    "--address",
    metavar="HOST[:PORT]",
    callback=_parse_address,
    help="The address by which clients reach this relay.",
)


_INIT_EXAMPLES = """\b
Examples:
  tunnelkeeper relay init --address relay.example.com
  tunnelkeeper relay init --system --unit
"""


@click.command(
    short_help="write relay.toml, the folder of the keys, and the host key",
    cls=RelayCommand,
    epilog=_INIT_EXAMPLES,
)
@_config
@click.option("--system", is_flag=True, help="For the system service, in /etc/tunnelkeeper-relay.")
@click.option(
    "--listen",
    metavar="ADDR:PORT",
    default="*:2222",
    show_default=True,
    callback=_parse_listen,
    help="Where the relay listens.",
)
@_address
@click.option("--unit", is_flag=True, help="Write the systemd units, too.")
@_json
@click.pass_obj
def init(
    settings: Settings,
    config: str | None,
    system: bool,
    listen: TcpAddress,
    address: TcpAddress | None,
    unit: bool,
) -> int:
    """Write relay.toml, the folder of the keys, and the host key, and print the next step.

    Files that exist are kept. With --system the service generates its host key at the first start.
    """
    named = config if config is not None else settings.config_option
    if system and named is None:
        named = str(paths.RELAY_SYSTEM_FOLDER / paths.RELAY_CONFIG)
    instance = instance_for(settings, named)
    files = launch.init_relay(
        instance.config, listen, address, SYSTEM_STATE_FOLDER if system else None
    )
    units: list[str] = []
    if unit:
        folder = SYSTEM_UNITS_FOLDER if system else paths.user_units_folder(os.environ)
        try:
            unit_settings = replace(settings, config_option=named)
            texts = unit_texts(unit_settings, UnitKind.RELAY, "tried", "", is_system=system)
            unit_files.write_units(folder, texts)
        except (ForeignUnitError, OSError) as error:
            raise CommandError(f"cannot write the units: {error}") from error
        units = [str(folder / name) for name in texts]
    option = f" --config {instance.config}" if named is not None and not system else ""
    systemctl = "systemctl" if system else "systemctl --user"
    if units:
        names = " ".join(sorted({Path(path).name for path in units}, reverse=True))
        step = f"{systemctl} daemon-reload && {systemctl} enable --now {names}"
    else:
        user = " --user NAME" if os.geteuid() == 0 else ""  # root does not serve
        step = f"tunnelkeeper relay serve{user}{option}"
    set_result({**asdict(files), "units": units, "config": str(instance.config), "next": step})
    lines = [*(f"wrote {path}" for path in [*files.created, *units])]
    lines += [f"kept {path}" for path in files.kept]
    print_text(
        "\n".join([*lines, "", "next:", f"  {step}", f"  tunnelkeeper relay add NAME{option}"])
    )
    return ExitCode.OK


_ADD_EXAMPLES = """\b
Examples:
  tunnelkeeper relay add box17
  tunnelkeeper relay add ann --key ann.pub --open box17:22
"""


@click.command(
    short_help="let a box or a person log in, and print what to paste there",
    cls=RelayCommand,
    epilog=_ADD_EXAMPLES,
)
@click.argument("name")
@_config
@click.option(
    "--listen",
    metavar="PORT|HOST:PORT",
    multiple=True,
    help="What it may listen on; a PORT is that of its name. Without --open it is 22.",
)
@click.option(
    "--open",
    "open_",
    metavar="HOST:PORT",
    multiple=True,
    help="What it may open: the name of a box and a port.",
)
@click.option("--key", metavar="FILE", help="Its public key; - is standard input.")
@click.option("--save", metavar="FILE", help="Where to write a generated key: ./id_NAME.")
@click.option("--print-key", is_flag=True, help="Print the generated private key as well.")
@_address
@_json
@click.pass_obj
def add(
    settings: Settings,
    name: str,
    *,
    config: str | None,
    listen: tuple[str, ...],
    open_: tuple[str, ...],
    key: str | None,
    save: str | None,
    print_key: bool,
    address: TcpAddress | None,
) -> int:
    """Write a line of authorized_keys for a user, and print what to paste on its machine.

    Without --key it generates a key pair, whose private half is for that machine.
    """
    request = {
        "user": name,
        "listen": listen,
        "open": open_,
        "public_key": None if key is None else (_read_key(key), "--key" if key == "-" else key),
        "new_key": Path.cwd() / (save or f"id_{name.replace('/', '_')}"),
        "address": address,
    }
    path, is_named = config_of(settings, config)
    try:
        added = launch.add_to_relay(path, request, must_exist=is_named)
    except ConfigError as error:
        raise CommandError("\n".join(error.lines), ExitCode.USAGE) from error
    enrolment, private_key = added.enrolment, ""
    if print_key and enrolment.private_key is not None:
        private_key = enrolment.private_key.read_text(encoding="ascii")
    set_result(
        {
            "user": enrolment.user,
            "file": str(enrolment.file),
            "key": enrolment.fingerprint,
            "listen": [str(permit) for permit in enrolment.rights.listen],
            "open": [str(permit) for permit in enrolment.rights.open],
            "private_key_file": str(enrolment.private_key) if enrolment.private_key else None,
            "private_key": private_key or None,
            "address": str(added.address),
            **asdict(added.instructions),
            "notes": added.notes,
        }
    )
    print_text(added.text)
    if private_key:
        print_text(f"\nThe private key:\n\n{private_key}", nl=False)
    return ExitCode.OK


_REMOVE_EXAMPLES = """\b
Examples:
  tunnelkeeper relay remove box17
"""


@click.command(
    short_help="remove a user, and reload the relay", cls=RelayCommand, epilog=_REMOVE_EXAMPLES
)
@click.argument("name")
@_config
@click.option("--key", metavar="FINGERPRINT", help="Remove only this key of the user.")
@_json
@click.pass_obj
def remove(settings: Settings, name: str, config: str | None, key: str | None) -> int:
    """Remove the lines of a user from authorized_keys, and reload a running relay.

    The reload ends the connections of the removed keys.
    """
    path, is_named = config_of(settings, config)
    try:
        file, removed = launch.remove_from_relay(path, name, key, must_exist=is_named)
    except ConfigError as error:
        raise CommandError("\n".join(error.lines), ExitCode.USAGE) from error
    reloaded, problem = _reload(settings, config, path)
    set_result(
        {
            "user": name,
            "file": str(file),
            "removed": removed,
            "reloaded": reloaded,
            "problem": problem or None,
        }
    )
    lines = [f"removed {name} from {file}: {fingerprint}" for fingerprint in removed]
    print_text("\n".join([*lines, *(reloaded or [])]))
    if problem:
        advice = "it ends the connections of removed keys when it is reloaded or restarted"
        click.echo(f"the relay was not reloaded: {problem}; {advice}", err=True)
    return ExitCode.OK


def _reload(settings: Settings, config: str | None, path: Path) -> tuple[list[str] | None, str]:
    """Reload the relay of a config file; return what changed, or None and why it was not."""
    is_system = path == paths.RELAY_SYSTEM_FOLDER / paths.RELAY_CONFIG
    try:
        with connect(settings, None if is_system else config, WORK_TIMEOUT) as client:
            return list(client.reload()), ""
    except (CommandError, OSError) as error:
        return None, str(error)


def _read_key(path: str) -> str:
    if path == "-":
        return sys.stdin.read(KEY_SIZE_LIMIT)
    try:
        with Path(path).open(encoding="utf-8", errors="backslashreplace") as file:
            return file.read(KEY_SIZE_LIMIT)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", ExitCode.USAGE) from error
