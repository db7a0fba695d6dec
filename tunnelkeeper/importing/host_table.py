"""What a line of ssh says of its host, as keys of the config file.

A key is written where the line says something itself, or where its ssh_config says something else
than the one that the tunnel will be looked up in (-F); all else is left to ssh_config.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import join, normpath
from typing import TYPE_CHECKING

from tunnelkeeper.core.host_spec import HostSpec
from tunnelkeeper.sshconfig.ssh_g_output import get_value, split_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.sshconfig.lookup_request import Answer

_NO = frozenset({"no", "off", "false"})
_NO_PATHS = frozenset({"none", "SSH_AUTH_SOCK"})
"""Words of ssh_config(5) where a path could stand."""
_POLICIES = {"accept-new": "accept-new", **dict.fromkeys(_NO, "accept-new")}


@dataclass(frozen=True, slots=True)
class Answers:
    """What `ssh -G` says.

    line: for the line. theirs: for its host, user and port alone, by the line's ssh_config. ours:
    the same by the ssh_config that the tunnel will be looked up in. builtin: for no host, without
    any file.
    """

    line: Answer
    theirs: Answer
    ours: Answer
    builtin: Answer


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line ran and where it is imported.

    account: the user it ran as. user: who runs this program. folder: what its relative paths are
    relative to.
    """

    account: str
    user: str
    folder: str

    def path(self, text: str) -> str:
        """A path so that it means the same here."""
        if text.startswith("~/") and self.account != self.user:
            return f"~{self.account}{text[1:]}"
        if text.startswith(("/", "~", "%", "$")) or text in _NO_PATHS:
            return text
        return normpath(join(self.folder, text))


def host_table(line: SshCommand, answers: Answers, place: Place) -> dict[str, object]:
    """The keys, `host` first."""
    user, port = line.host.user, line.host.port
    named = HostSpec(
        user if user == line.user else None, line.host.host, port if port == line.port else None
    )
    table: dict[str, object] = {"host": str(named)}
    if named.user is None and (login := _user(line, answers, place)) is not None:
        table["user"] = login
    if named.port is None and (line.port is not None or _differs(answers, "port")):
        table["port"] = int(get_value(answers.line, "port") or 22)
    table |= _way(line, answers)
    table |= _keys(line, answers, place)
    for key, keyword, letters, read in _SIMPLE:
        value = get_value(answers.line, keyword)
        if value is not None and (_says(line, keyword, letters) or _differs(answers, keyword)):
            table[key] = read(value)
    for key, keyword, letter in _ALGORITHMS:
        words = line.values(letter)[-1:] if letter else ()
        said = next(iter(words), line.setting(keyword))
        if said is not None or _differs(answers, keyword):
            table[key] = said or get_value(answers.line, keyword) or ""
    return table


def _yes(value: str) -> bool:
    return value.lower() not in _NO


def _seconds(value: str) -> int:
    return int(value)


def _policy(value: str) -> str:
    return _POLICIES.get(value.lower(), "strict")


_SIMPLE: tuple[tuple[str, str, str, Callable[[str], object]], ...] = (
    ("hostname", "hostname", "", str),
    ("host_key_alias", "hostkeyalias", "", str),
    ("host_key_policy", "stricthostkeychecking", "", _policy),
    ("address_family", "addressfamily", "46", str),
    ("bind_address", "bindaddress", "b", str),
    ("compression", "compression", "C", _yes),
    ("connect_timeout", "connecttimeout", "", _seconds),
    ("keepalive_interval", "serveraliveinterval", "", _seconds),
    ("keepalive_count_max", "serveralivecountmax", "", _seconds),
    ("tcp_keepalive", "tcpkeepalive", "", _yes),
)
"""Keys, the keyword of ssh_config(5) that each one is, the options that say it, and how."""

_ALGORITHMS = (
    ("ciphers", "ciphers", "c"),
    ("macs", "macs", "m"),
    ("kex_algorithms", "kexalgorithms", ""),
    ("host_key_algorithms", "hostkeyalgorithms", ""),
)
"""Lists that `ssh -G` prints with the defaults in them, so the line's own words are better."""

KEYWORDS = frozenset(
    {"user", "port", "proxyjump", "proxycommand", "identityfile", "certificatefile"}
    | {"userknownhostsfile", "identityagent", "identitiesonly"}
    | {keyword for _, keyword, *_ in (*_SIMPLE, *_ALGORITHMS)}
)
"""The keywords of ssh_config(5) that have keys."""


def _user(line: SshCommand, answers: Answers, place: Place) -> str | None:
    """Who logs in; ssh's last resort is the user who runs it, who may be another one here."""
    if line.user is not None or _differs(answers, "user"):
        return get_value(answers.line, "user")
    is_default = get_value(answers.line, "user") == place.user
    return place.account if is_default and place.account != place.user else None


def _way(line: SshCommand, answers: Answers) -> dict[str, object]:
    """Through which hosts or by which command, where the line says so."""
    jump, command = get_value(answers.line, "proxyjump"), get_value(answers.line, "proxycommand")
    says = _says(line, "proxyjump", "J") or _says(line, "proxycommand", "")
    if not says and not _differs(answers, "proxyjump") and not _differs(answers, "proxycommand"):
        return {}
    if jump is not None:
        return {"jump": jump.split(",")}
    return {"jump": []} if command is None else {"proxy_command": command}


def _keys(line: SshCommand, answers: Answers, place: Place) -> dict[str, object]:
    """The files of keys and of known hosts, and the agent."""
    table: dict[str, object] = {}
    own = [*line.values("i"), *(s.value for s in line.settings if s.keyword == "identityfile")]
    if own or _differs(answers, "identityfile"):
        # ssh adds its defaults only where nobody names a file, and all of ssh_config's otherwise.
        more = answers.theirs.get("identityfile", [])
        more = [] if own and more == answers.builtin.get("identityfile") else more
        table["identity_files"] = [place.path(path) for path in dict.fromkeys([*own, *more])]
    if _says(line, "identitiesonly", "") or _differs(answers, "identitiesonly"):
        table["identities_only"] = _yes(get_value(answers.line, "identitiesonly") or "no")
    if _says(line, "certificatefile", "") or _differs(answers, "certificatefile"):
        table["certificate_files"] = [
            place.path(path) for path in answers.line.get("certificatefile", [])
        ]
    agent = line.setting("identityagent")
    if agent is not None or _differs(answers, "identityagent"):
        table["identity_agent"] = place.path(agent or answers.line["identityagent"][0])
    known = line.setting("userknownhostsfile")
    if known is not None or _differs(answers, "userknownhostsfile"):
        found = split_paths(known or get_value(answers.line, "userknownhostsfile"))
        table["known_hosts"] = [place.path(path) for path in found]
    return table


def _says(line: SshCommand, keyword: str, letters: str) -> bool:
    """Whether the line itself says something of a keyword."""
    return line.setting(keyword) is not None or any(line.has(letter) for letter in letters)


def _differs(answers: Answers, keyword: str) -> bool:
    """Whether the line's ssh_config says something else than ours."""
    return answers.theirs.get(keyword) != answers.ours.get(keyword)
