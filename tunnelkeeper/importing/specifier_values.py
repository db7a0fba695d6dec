"""Values of the unit file specifiers that depend on this machine, not on the unit's name.

The values follow the table in systemd.unit(5). `%h`, `%u` and the like are those of the service
manager: in a system unit they are root's, whatever User= says.
"""

from __future__ import annotations

import grp
import platform
import pwd
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig import Facts

ROOT = "root"
_SYSTEM_DIRECTORIES = {
    "C": "/var/cache",
    "E": "/etc",
    "L": "/var/log",
    "S": "/var/lib",
    "t": "/run",
}


def read_system_specifiers() -> dict[str, str]:
    """Return the specifiers of system units."""
    return {
        **_read_common_specifiers(),
        **_read_account_of_root(),
        **_SYSTEM_DIRECTORIES,
    }


def read_user_specifiers(facts: Facts) -> dict[str, str]:
    """Return the specifiers of the current user's units.

    %S and %L are left out, because systemd 254 changed their directories.
    """
    environment, home = facts.environment, facts.home
    account = {"h": home, "u": facts.user, "U": str(facts.uid)}
    with suppress(KeyError):
        account = {**_make_account_specifiers(pwd.getpwuid(facts.uid)), **account}
    return {
        **_read_common_specifiers(),
        **account,
        "C": environment.get("XDG_CACHE_HOME") or f"{home}/.cache",
        "E": environment.get("XDG_CONFIG_HOME") or f"{home}/.config",
        "t": environment.get("XDG_RUNTIME_DIR") or f"/run/user/{facts.uid}",
    }


def _read_account_of_root() -> dict[str, str]:
    """Return root's specifiers, which systemd knows without the user database."""
    try:
        return _make_account_specifiers(pwd.getpwuid(0))
    except KeyError:
        return {"g": ROOT, "G": "0", "h": "/root", "u": ROOT, "U": "0"}


def _make_account_specifiers(account: pwd.struct_passwd) -> dict[str, str]:
    group = str(account.pw_gid)
    with suppress(KeyError):
        group = grp.getgrgid(account.pw_gid).gr_name
    return {
        "g": group,
        "G": str(account.pw_gid),
        "h": account.pw_dir,
        "s": account.pw_shell,
        "u": account.pw_name,
        "U": str(account.pw_uid),
    }


def _read_common_specifiers() -> dict[str, str]:
    host = platform.node()
    specifiers = {
        "H": host,
        "l": host.partition(".")[0],
        "q": host,
        "T": "/tmp",  # noqa: S108  the value of %T, not a file that we open
        "v": platform.release(),
        "V": "/var/tmp",  # noqa: S108  the value of %V
    }
    for letter, path in (("b", "/proc/sys/kernel/random/boot_id"), ("m", "/etc/machine-id")):
        with suppress(OSError):
            specifiers[letter] = Path(path).read_text(encoding="ascii").strip().replace("-", "")
    return specifiers
