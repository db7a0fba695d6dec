"""What `relay check` finds: problems and warnings of relay.toml and the files that it names.

It listens nowhere and changes nothing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.config import ConfigError, Problem
from tunnelkeeper.core.wildcards import ascii_lower, matches
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.relay import authorized_keys_store, host_key, revoked_keys, strict_modes
from tunnelkeeper.relay.authorized_keys_store import path_for
from tunnelkeeper.relay.host_key import HostKeyError
from tunnelkeeper.relay.name_rules import OPENS_NAMES
from tunnelkeeper.relay.permits import ANY_HOST, HostPermit
from tunnelkeeper.relay.registry import listen_name

if TYPE_CHECKING:
    from tunnelkeeper.relay.config import ConfigSource, RelayConfiguration

_USER = "%u"
_PERMITLISTEN = re.compile(rb'permitlisten="([A-Za-z0-9_*?-]+):', re.IGNORECASE)


def check(
    source: ConfigSource, *, has_host_keys: bool = False
) -> tuple[list[Problem], list[Problem]]:
    """Return the problems and the warnings of a configuration and the files that it names.

    has_host_keys: whether the host keys are loaded already. The user that root became for the
    relay need not be able to read them.
    """
    try:
        configuration = source.read()
    except ConfigError as error:
        return list(error.problems), []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    host_keys = () if has_host_keys else configuration.host_keys
    if configuration.strict_modes:
        written = [*host_keys, *filter(None, [configuration.revoked_keys])]
        for checked in (*map(Path, written), *_key_files(configuration)):
            problems += strict_modes.find_problems(checked)
    for path in host_keys:
        try:
            host_key.read(Path(path), configuration.required_rsa_size)
        except FileNotFoundError:
            message = "no host key yet: the first start generates one"
            warnings.append(Problem(path, None, "", message))
        except OSError as error:
            problems.append(Problem(path, None, "", str(error.strerror)))
        except HostKeyError as error:
            message = str(error).removeprefix(f"{path}: ")
            problems.append(Problem(path, None, "", message, error.hint))
    problems += revoked_keys.find_problems(configuration.revoked_keys)
    warnings += authorized_keys_store.find_problems(configuration.authorized_keys)
    warnings += _shared_names(source, configuration)
    warnings += _names_as_hosts(source, configuration)
    return problems, warnings


def _key_files(configuration: RelayConfiguration) -> list[Path]:
    try:
        return authorized_keys_store.existing_files(configuration.authorized_keys)
    except OSError:  # authorized_keys_store.find_problems reports it
        return []


def _shared_names(source: ConfigSource, configuration: RelayConfiguration) -> list[Problem]:
    """Warn if names are granted by user, but every key may log in as any user."""
    if _USER in configuration.authorized_keys or not any(
        _USER in pattern for pattern in configuration.names
    ):
        return []
    message = (
        "every key in authorized_keys may log in as any user, and so listen on any free name; a "
        'file for each user prevents that: authorized_keys = "authorized_keys/%u"'
    )
    return [Problem(str(source.path), None, "names", message)]


def _names_as_hosts(source: ConfigSource, configuration: RelayConfiguration) -> list[Problem]:
    """Warn if permit_open has a name that a client could have otherwise, and makes it a host.

    The names are those of users with a file of keys, and those in a permitlisten.
    """
    hosts = {
        name
        for permit in configuration.permit_open
        if isinstance(permit, HostPermit) and (name := listen_name(permit.host.removesuffix(".")))
    }
    if not hosts or not configuration.names:
        return []
    pattern = configuration.authorized_keys
    patterns: set[str] = set()
    for path in _key_files(configuration):
        with suppress(OSError):  # reported above
            permits = _PERMITLISTEN.findall(read_regular_file(path))
            patterns.update(ascii_lower(permit.decode("ascii")) for permit in permits)
    has_own_files = _USER in pattern and _USER in configuration.names
    meant = {
        name
        for name in hosts
        if any(matches(name, listened) for listened in patterns - {ANY_HOST})
        or (has_own_files and (file := path_for(pattern, name)) is not None and file.exists())
    }
    return [
        Problem(
            str(source.path),
            None,
            "permit_open",
            f"{name} is a host because it is in permit_open, so no client can listen on this name; "
            f"{OPENS_NAMES}",
        )
        for name in sorted(meant)
    ]
