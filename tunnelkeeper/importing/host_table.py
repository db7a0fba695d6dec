"""Conversion of the host settings of an ssh command into keys of the config file.

A key is written only if the command sets it, or if the command's ssh_config (-F) differs from the
one that the tunnel will use. Everything else is left to ssh_config.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import join, normpath
from typing import TYPE_CHECKING

from tunnelkeeper.core.configuration import MINIMUM_RSA_SIZE
from tunnelkeeper.core.host_spec import HostSpec
from tunnelkeeper.core.ssh_values import LOGIN_METHODS, OTHER_LOGIN_METHODS
from tunnelkeeper.sshconfig.ssh_g_output import get_value, split_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.autossh.ssh_command import SshCommand
    from tunnelkeeper.sshconfig.lookup_request import Answer

FALSE_VALUES = frozenset({"no", "off", "false"})
_SPECIAL_PATHS = frozenset({"none", "SSH_AUTH_SOCK"})
"""Keywords that ssh_config(5) accepts in place of a path."""
_HOST_KEY_POLICIES = {
    "ask": "ask",
    "accept-new": "accept-new",
    **dict.fromkeys(FALSE_VALUES, "accept-new"),
}


@dataclass(frozen=True, slots=True)
class SshGAnswers:
    """The answers of `ssh -G` that a conversion needs.

    command: for the full command. source_config: for its host, user and port alone, with the
    command's ssh_config. target_config: the same with the ssh_config that the tunnel will use.
    defaults: ssh's defaults, without a host or a config file.
    """

    command: Answer
    source_config: Answer
    target_config: Answer
    defaults: Answer


@dataclass(frozen=True, slots=True)
class AccountContext:
    """The accounts that ran the command and that import it.

    account: the user that the command ran as. current_user: the user of this process.
    working_directory: the base of the command's relative paths.
    """

    account: str
    current_user: str
    working_directory: str

    def resolve_path(self, text: str) -> str:
        """Return a path that refers to the same file for the current user."""
        if text.startswith("~/") and self.account != self.current_user:
            return f"~{self.account}{text[1:]}"
        if text.startswith(("/", "~", "%", "$")) or text in _SPECIAL_PATHS:
            return text
        return normpath(join(self.working_directory, text))


def make_host_table(
    command: SshCommand, answers: SshGAnswers, context: AccountContext
) -> dict[str, object]:
    """Return the keys, `host` first."""
    user, port = command.host.user, command.host.port
    host_spec = HostSpec(
        user if user == command.user else None,
        command.host.host,
        port if port == command.port else None,
    )
    table: dict[str, object] = {"host": str(host_spec)}
    if (
        host_spec.user is None
        and (login := _find_login_user(command, answers, context)) is not None
    ):
        table["user"] = login
    if host_spec.port is None and (command.port is not None or _configs_differ(answers, "port")):
        table["port"] = int(get_value(answers.command, "port") or 22)
    table |= _make_jump_keys(command, answers)
    table |= _make_identity_keys(command, answers, context)
    table |= _make_list_keys(command, answers, context)
    for key, keyword, letters, parse in _PLAIN_KEYS:
        value = get_value(answers.command, keyword)
        if value is not None and (
            _is_set(command, keyword, letters) or _configs_differ(answers, keyword)
        ):
            table[key] = parse(value)
    for key, keyword, letter in _ALGORITHM_KEYS:
        values = command.values(letter)[-1:] if letter else ()
        own_value = next(iter(values), command.setting(keyword))
        if own_value is not None or _configs_differ(answers, keyword):
            table[key] = own_value or get_value(answers.command, keyword) or ""
    return table


def _parse_flag(value: str) -> bool:
    return value.lower() not in FALSE_VALUES


def _parse_int(value: str) -> int:
    return int(value)


def _parse_rsa_size(value: str) -> int:
    return max(int(value), MINIMUM_RSA_SIZE)


def _parse_host_key_policy(value: str) -> str:
    return _HOST_KEY_POLICIES.get(value.lower(), "strict")


def _parse_methods(value: str) -> str:
    """Return the methods that the config file knows; ssh ignores a name that it does not know."""
    known = {*LOGIN_METHODS, *OTHER_LOGIN_METHODS}
    return ",".join(method for each in value.split(",") if (method := each.strip()) in known)


def _parse_agent_addition(value: str) -> object:
    words = {"true": "yes", "false": "no"}
    return " ".join(words.get(word, word) for word in value.lower().split())


def _parse_update_host_keys(value: str) -> object:
    return value if value == "ask" else _parse_flag(value)


_PLAIN_KEYS: tuple[tuple[str, str, str, Callable[[str], object]], ...] = (
    ("hostname", "hostname", "", str),
    ("host_key_alias", "hostkeyalias", "", str),
    ("known_hosts_command", "knownhostscommand", "", str),
    ("host_key_policy", "stricthostkeychecking", "", _parse_host_key_policy),
    ("address_family", "addressfamily", "46", str),
    ("bind_address", "bindaddress", "b", str),
    ("bind_interface", "bindinterface", "B", str),
    ("tag", "tag", "P", str),
    ("hash_known_hosts", "hashknownhosts", "", _parse_flag),
    ("stream_local_bind_unlink", "streamlocalbindunlink", "", _parse_flag),
    ("check_host_ip", "checkhostip", "", _parse_flag),
    ("compression", "compression", "C", _parse_flag),
    ("required_rsa_size", "requiredrsasize", "", _parse_rsa_size),
    ("connect_timeout", "connecttimeout", "", _parse_int),
    ("keepalive_interval", "serveraliveinterval", "", _parse_int),
    ("keepalive_count_max", "serveralivecountmax", "", _parse_int),
    ("tcp_keepalive", "tcpkeepalive", "", _parse_flag),
    ("batch_mode", "batchmode", "", _parse_flag),
    ("number_of_password_prompts", "numberofpasswordprompts", "", _parse_int),
    ("preferred_authentications", "preferredauthentications", "", _parse_methods),
    ("pubkey_authentication", "pubkeyauthentication", "", _parse_flag),
    ("password_authentication", "passwordauthentication", "", _parse_flag),
    ("kbd_interactive_authentication", "kbdinteractiveauthentication", "", _parse_flag),
    ("add_keys_to_agent", "addkeystoagent", "", _parse_agent_addition),
    ("update_host_keys", "updatehostkeys", "", _parse_update_host_keys),
)
"""For each key: the keyword of ssh_config(5), the options that set it, and the value parser."""

_ALGORITHM_KEYS = (
    ("ciphers", "ciphers", "c"),
    ("macs", "macs", "m"),
    ("kex_algorithms", "kexalgorithms", ""),
    ("host_key_algorithms", "hostkeyalgorithms", ""),
    ("pubkey_accepted_algorithms", "pubkeyacceptedalgorithms", ""),
    ("ca_signature_algorithms", "casignaturealgorithms", ""),
)
"""Algorithm lists. `ssh -G` expands the defaults in them, so the command's own value is kept."""

_PATH_LIST_KEYS = (
    ("known_hosts", "userknownhostsfile"),
    ("system_known_hosts", "globalknownhostsfile"),
    ("revoked_host_keys", "revokedhostkeys"),
)
_WORD_KEYS = (
    ("permit_remote_open", "permitremoteopen"),
    ("rekey_limit", "rekeylimit"),
    ("ip_qos", "ipqos"),
    ("channel_timeout", "channeltimeout"),
    ("stream_local_bind_mask", "streamlocalbindmask"),
)
"""Words that have the same grammar in the config file."""

SUPPORTED_KEYWORDS = frozenset(
    {"user", "port", "proxyjump", "proxycommand", "identityfile", "certificatefile"}
    | {"identityagent", "identitiesonly"}
    | {
        keyword
        for _, keyword, *_ in (*_PLAIN_KEYS, *_ALGORITHM_KEYS, *_PATH_LIST_KEYS, *_WORD_KEYS)
    }
)
"""The keywords of ssh_config(5) that have a key in the config file."""


def _find_login_user(
    command: SshCommand, answers: SshGAnswers, context: AccountContext
) -> str | None:
    """Return the login user. ssh defaults to the local user, who may be another one here."""
    if command.user is not None or _configs_differ(answers, "user"):
        return get_value(answers.command, "user")
    is_default = get_value(answers.command, "user") == context.current_user
    return context.account if is_default and context.account != context.current_user else None


def _make_jump_keys(command: SshCommand, answers: SshGAnswers) -> dict[str, object]:
    """Return the jump hosts or the proxy command, if the command or its ssh_config sets them."""
    is_set = _is_set(command, "proxyjump", "J") or _is_set(command, "proxycommand", "")
    differs = any(_configs_differ(answers, key) for key in ("proxyjump", "proxycommand"))
    if not is_set and not differs:
        return {}
    jump = get_value(answers.command, "proxyjump")
    proxy_command = get_value(answers.command, "proxycommand")
    if jump is not None:
        return {"jump": jump.split(",")}
    return {"jump": []} if proxy_command is None else {"proxy_command": proxy_command}


def _make_identity_keys(
    command: SshCommand, answers: SshGAnswers, context: AccountContext
) -> dict[str, object]:
    """Return the files of keys, and the agent."""
    table: dict[str, object] = {}
    own_files = [
        *command.values("i"),
        *(s.value for s in command.settings if s.keyword == "identityfile"),
    ]
    if own_files or _configs_differ(answers, "identityfile"):
        # ssh adds the files of ssh_config to those of the command, but its defaults only if no file
        # is named.
        config_files = answers.source_config.get("identityfile", [])
        if own_files and config_files == answers.defaults.get("identityfile"):
            config_files = []
        paths = dict.fromkeys([*own_files, *config_files])
        table["identity_files"] = [context.resolve_path(path) for path in paths]
    if _is_set(command, "identitiesonly", "") or _configs_differ(answers, "identitiesonly"):
        table["identities_only"] = _parse_flag(get_value(answers.command, "identitiesonly") or "no")
    if _is_set(command, "certificatefile", "") or _configs_differ(answers, "certificatefile"):
        table["certificate_files"] = [
            context.resolve_path(path) for path in answers.command.get("certificatefile", [])
        ]
    agent = command.setting("identityagent")
    if agent is not None or _configs_differ(answers, "identityagent"):
        table["identity_agent"] = context.resolve_path(agent or answers.command["identityagent"][0])
    return table


def _make_list_keys(
    command: SshCommand, answers: SshGAnswers, context: AccountContext
) -> dict[str, object]:
    """Return the keys with several paths or words."""
    table: dict[str, object] = {}
    for key, keyword in _PATH_LIST_KEYS:
        own = command.setting(keyword)
        if own is not None or _configs_differ(answers, keyword):
            paths = split_paths(own or get_value(answers.command, keyword))
            table[key] = [context.resolve_path(path) for path in paths]
    for key, keyword in _WORD_KEYS:
        if _is_set(command, keyword, "") or _configs_differ(answers, keyword):
            table[key] = " ".join(answers.command[keyword])
    return table


def _is_set(command: SshCommand, keyword: str, letters: str) -> bool:
    """Return whether the command itself sets a keyword."""
    return command.setting(keyword) is not None or any(command.has(letter) for letter in letters)


def _configs_differ(answers: SshGAnswers, keyword: str) -> bool:
    """Return whether the command's ssh_config has another value than the tunnel's."""
    return answers.source_config.get(keyword) != answers.target_config.get(keyword)
