"""Input of existing setups: unit files, `systemctl cat` and crontabs.

The pure modules interpret the text. An I/O error becomes an UnreadableError with a message.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import specifier_values
from tunnelkeeper.importing.crontab import find_crontab_commands, is_system_crontab
from tunnelkeeper.importing.source_commands import TRUST_HINT, UnreadableError
from tunnelkeeper.importing.specifiers import UnitName, make_unit_specifiers
from tunnelkeeper.importing.systemd_service import Service, find_service_commands
from tunnelkeeper.net.file_trust import find_distrust
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.systemd import systemctl
from tunnelkeeper.systemd.systemctl import NoServiceManagerError, SystemctlError

if TYPE_CHECKING:
    from tunnelkeeper.importing.source_commands import Finding
    from tunnelkeeper.sshconfig import Facts

_USER_UNIT_DIRECTORY = "/systemd/user"
_SIZE_LIMIT = 1024 * 1024
"""Maximum bytes of a unit, a crontab or an environment file."""
_CRONTAB_TIMEOUT = 30.0
_CRON_PATH = "/usr/bin:/bin"
_FILE_HINT = "give the path of a crontab file"


def read_unit_commands(
    unit: str, facts: Facts, *, is_user: bool | None, trusts_files: bool = False
) -> list[Finding]:
    """Return the commands of a unit, given as a file or as a name for `systemctl cat`.

    is_user: whether it belongs to a user's service manager; None to decide by the path.
    trusts_files: whether to read files that another user could have written.
    Raises UnreadableError if the unit cannot be read, is not trusted or is a template.
    """
    if "/" in unit or Path(unit).exists():
        path, text = _read_unit_file(Path.cwd() / unit, trusts_files)
        name = UnitName(Path(unit).name)
    else:
        name = UnitName(unit if _has_unit_suffix(unit) else f"{unit}.service")
        # Not checked: the service manager runs what it prints, with the same rights.
        path, text = _cat_unit(name, is_user=bool(is_user))
    if name.is_template:
        raise UnreadableError(
            "it is a template", f"name an instance of it, such as `{name.prefix}@NAME.service`"
        )
    if is_user is None:
        is_user = _USER_UNIT_DIRECTORY in path
    common = (
        specifier_values.read_user_specifiers(facts)
        if is_user
        else specifier_values.read_system_specifiers()
    )
    service = Service(
        name=name,
        origin=f"{name.full} ({path})" if path else name.full,
        text=text,
        specifiers={**common, **make_unit_specifiers(name, path)},
        account=facts.user if is_user else specifier_values.ROOT,
        is_user=is_user,
    )
    return find_service_commands(
        service, read_text if trusts_files else _read_trusted_text, facts.home_of
    )


def read_crontab_commands(
    file: str | None, facts: Facts, *, trusts_file: bool = False
) -> list[Finding]:
    """Return the commands of a crontab file, or of `crontab -l` if no file is given.

    trusts_file: whether to read one that another user could have written.
    Raises UnreadableError if the crontab cannot be read or is not trusted.
    """
    path = str(Path.cwd() / file) if file else ""
    text = _read_source(path, trusts_file) if file else _read_own_crontab()
    is_system = is_system_crontab(path)
    environment = {"PATH": _CRON_PATH, "SHELL": "/bin/sh"}
    if not is_system:
        environment |= {"HOME": facts.home, "LOGNAME": facts.user, "USER": facts.user}
    name = path or "crontab -l"
    return find_crontab_commands(text, name, environment, has_user_field=is_system)


def read_text(path: str) -> str:
    """Return the text of a file; bytes that are not UTF-8 become surrogates. Raises OSError."""
    return read_regular_file(path, _SIZE_LIMIT).decode("utf-8", "surrogateescape")


def _read_trusted_text(path: str) -> str:
    """Return the text of a file that no other user could have written.

    What it says becomes part of the config file, which can name programs to run. Raises OSError,
    and UnreadableError if another user could have written it.
    """
    distrust = find_distrust(path)
    if distrust is not None:
        message = f"{printable(str(distrust))}, and it can name programs to run"
        raise UnreadableError(message, TRUST_HINT)
    return read_text(path)


def _read_unit_file(path: Path, trusts_file: bool) -> tuple[str, str]:
    """Return path and text of a unit's file, or of its template's file for an instance."""
    template = path.with_name(UnitName(path.name).template)
    if not path.exists() and template.exists():
        path = template
    return str(path), _read_source(str(path), trusts_file)


def _cat_unit(name: UnitName, *, is_user: bool) -> tuple[str, str]:
    try:
        text = systemctl.cat_unit(name.full, is_user=is_user)
    except (NoServiceManagerError, SystemctlError) as error:
        raise UnreadableError(str(error), "give the path of the unit's file") from None
    first = text.partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("# /") else "", text


def _has_unit_suffix(name: str) -> bool:
    return name.rpartition(".")[2] in {"service", "socket", "timer", "target", "path", "scope"}


def _read_own_crontab() -> str:
    try:
        result = subprocess.run(
            ["crontab", "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CRONTAB_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise UnreadableError("crontab is not installed", _FILE_HINT) from None
    except subprocess.TimeoutExpired:
        raise UnreadableError("crontab -l does not answer", _FILE_HINT) from None
    if result.returncode:
        error = os.fsdecode(result.stderr).strip() or f"exit code {result.returncode}"
        raise UnreadableError(f"crontab -l: {printable(error)}")
    if len(result.stdout) > _SIZE_LIMIT:
        raise UnreadableError(f"crontab -l: larger than {_SIZE_LIMIT >> 20} MiB")
    return os.fsdecode(result.stdout)


def _read_source(path: str, trusts_file: bool) -> str:
    try:
        return read_text(path) if trusts_file else _read_trusted_text(path)
    except UnreadableError:
        raise
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise UnreadableError(f"{printable(path)}: not a path: {error}") from None
