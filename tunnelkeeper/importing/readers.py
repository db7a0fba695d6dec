"""Reads old set-ups where they lie: unit files, what `systemctl cat` shows, crontabs, ssh_config.

What they say is for the pure modules; an error of reading is Unreadable, in words.
"""

from __future__ import annotations

import glob
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import specifier_values
from tunnelkeeper.importing.crontab import lines_of_crontab, with_users
from tunnelkeeper.importing.source_commands import UnreadableError
from tunnelkeeper.importing.specifiers import UnitName, of_unit
from tunnelkeeper.importing.ssh_config_names import Names, names_in
from tunnelkeeper.importing.systemd_service import Service, lines_of_service
from tunnelkeeper.systemd import systemctl
from tunnelkeeper.systemd.systemctl import NoServiceManagerError, SystemctlError

if TYPE_CHECKING:
    from tunnelkeeper.importing.source_commands import Finding
    from tunnelkeeper.sshconfig import Facts

_USERS_UNITS = "/systemd/user"
_DEEPEST_INCLUDE = 16  # ssh_config(5) knows no limit; readconf.c stops there
_SYSTEM_SSH_CONFIG = "/etc/ssh/ssh_config"
_ANSWER_TIMEOUT = 30.0
_CRON_PATH = "/usr/bin:/bin"


def unit_lines(named: str, facts: Facts, *, is_user: bool | None) -> list[Finding]:
    """The lines of a unit: a file where one is named, else a unit's name for `systemctl cat`.

    is_user: of a user's service manager; None: it shows by the path. Raises Unreadable.
    """
    if "/" in named or Path(named).exists():
        path, text = _unit_file(Path.cwd() / named)
        name = UnitName(Path(named).name)
    else:
        name = UnitName(named if _has_type(named) else f"{named}.service")
        path, text = _shown(name, is_user=bool(is_user))
    if name.is_template:
        raise UnreadableError(
            f"it is a template; name an instance of it: {name.prefix}@NAME.service"
        )
    if is_user is None:
        is_user = _USERS_UNITS in path
    common = specifier_values.of_user(facts) if is_user else specifier_values.of_system()
    service = Service(
        name=name,
        origin=f"{name.full} ({path})" if path else name.full,
        text=text,
        specifiers={**common, **of_unit(name, path)},
        account=facts.user if is_user else specifier_values.ROOT,
        is_user=is_user,
    )
    return lines_of_service(service, read_text, facts.home_of)


def crontab_lines(file: str | None, facts: Facts) -> list[Finding]:
    """The lines of a crontab: a file's, or those that `crontab -l` shows.

    Raises Unreadable.
    """
    path = str(Path.cwd() / file) if file else ""
    text = _read(path) if file else _crontab()
    has_users = with_users(path)
    environment = {"PATH": _CRON_PATH, "SHELL": "/bin/sh"}
    if not has_users:
        environment |= {"HOME": facts.home, "LOGNAME": facts.user, "USER": facts.user}
    called = path or "crontab -l"
    return lines_of_crontab(text, called, environment, has_users=has_users)


def ssh_config_names(file: str | None, facts: Facts) -> Names:
    """The names in an ssh_config and in what it includes; None: ssh's own files.

    Raises Unreadable.
    """
    found = Names()
    if file is not None:
        found = names_in(_read(file))
        _include(found, found.includes, f"{facts.home}/.ssh", facts)
        return found
    for own in (f"{facts.home}/.ssh/config", _SYSTEM_SSH_CONFIG):
        _include(found, [own], own.rpartition("/")[0], facts)
    return found


def read_text(path: str) -> str:
    """The text of a file, whatever its bytes are; raises OSError."""
    return Path(path).read_text(encoding="utf-8", errors="surrogateescape")


def _include(found: Names, patterns: list[str], folder: str, facts: Facts, depth: int = 0) -> None:
    """Add the names of included files; those that cannot be read are passed over, as ssh does it.

    folder: what relative patterns are relative to.
    """
    if depth > _DEEPEST_INCLUDE:
        return
    for pattern in list(patterns):
        expanded = f"{facts.home}{pattern[1:]}" if pattern.startswith("~/") else pattern
        for path in sorted(glob.glob(os.path.join(folder, expanded))):  # noqa: PTH118, PTH207
            try:
                inner = names_in(read_text(path))
            except OSError:
                continue
            found.hosts += inner.hosts
            found.patterns += inner.patterns
            _include(found, inner.includes, folder, facts, depth + 1)


def _unit_file(path: Path) -> tuple[str, str]:
    """The file of a unit, which for an instance may be that of its template."""
    template = path.with_name(UnitName(path.name).template)
    if not path.exists() and template.exists():
        path = template
    return str(path), _read(str(path))


def _shown(name: UnitName, *, is_user: bool) -> tuple[str, str]:
    try:
        text = systemctl.cat_unit(name.full, is_user=is_user)
    except (NoServiceManagerError, SystemctlError) as error:
        raise UnreadableError(f"{error} (or name the unit's file)") from None
    first = text.partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("# /") else "", text


def _has_type(name: str) -> bool:
    return name.rpartition(".")[2] in {"service", "socket", "timer", "target", "path", "scope"}


def _crontab() -> str:
    try:
        done = subprocess.run(
            ["crontab", "-l"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise UnreadableError("crontab is not installed; name a file") from None
    except subprocess.TimeoutExpired:
        raise UnreadableError("crontab -l does not answer; name a file") from None
    if done.returncode:
        said = os.fsdecode(done.stderr).strip() or f"exit code {done.returncode}"
        raise UnreadableError(f"crontab -l: {printable(said)}")
    return os.fsdecode(done.stdout)


def _read(path: str) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise UnreadableError(f"{printable(path)}: not a path: {error}") from None
