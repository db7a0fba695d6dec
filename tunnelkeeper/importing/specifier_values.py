"""What the specifiers of unit files stand for on this machine, beside the unit's own name.

By the table in systemd.unit(5). `%h`, `%u` and their like are the service manager's: in a unit of
the system they are root's, whatever User= says.
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
_SYSTEM_FOLDERS = {"C": "/var/cache", "E": "/etc", "L": "/var/log", "S": "/var/lib", "t": "/run"}


def of_system() -> dict[str, str]:
    """For the units of the system."""
    return {**_common(), **_of_account(pwd.getpwuid(0)), **_SYSTEM_FOLDERS}


def of_user(facts: Facts) -> dict[str, str]:
    """For the units of the user who runs this program.

    Left out are %S and %L, which mean another folder since systemd 254.
    """
    env, home = facts.environment, facts.home
    found = {"h": home, "u": facts.user, "U": str(facts.uid)}
    with suppress(KeyError):
        found = {**_of_account(pwd.getpwuid(facts.uid)), **found}
    return {
        **_common(),
        **found,
        "C": env.get("XDG_CACHE_HOME") or f"{home}/.cache",
        "E": env.get("XDG_CONFIG_HOME") or f"{home}/.config",
        "t": env.get("XDG_RUNTIME_DIR") or f"/run/user/{facts.uid}",
    }


def _of_account(account: pwd.struct_passwd) -> dict[str, str]:
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


def _common() -> dict[str, str]:
    host = platform.node()
    found = {
        "H": host,
        "l": host.partition(".")[0],
        "q": host,
        "T": "/tmp",  # noqa: S108  what %T stands for, not a file of ours
        "v": platform.release(),
        "V": "/var/tmp",  # noqa: S108  the same of %V
    }
    for letter, path in (("b", "/proc/sys/kernel/random/boot_id"), ("m", "/etc/machine-id")):
        with suppress(OSError):
            found[letter] = Path(path).read_text(encoding="ascii").strip().replace("-", "")
    return found
