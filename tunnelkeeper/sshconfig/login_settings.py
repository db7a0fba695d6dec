"""The settings of logins: methods, who may be asked, and commands that give answers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunnelkeeper.core.ssh_values import (
    LOGIN_METHODS,
    ValueFormatError,
    parse_agent_addition,
)
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.token_expansion import (
    COMMAND_TOKENS,
    KEY_COMMAND_TOKENS,
    TokenError,
    expand,
)
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import get_flag

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import HostOptions
    from tunnelkeeper.sshconfig.lookup_request import Answer

PASSWORD_PROMPTS = 3
"""Default of NumberOfPasswordPrompts."""

_USES_KEYS = frozenset({"yes", "true", "unbound", "host-bound"})
"""Values of PubkeyAuthentication with which keys are offered."""


def login_settings(
    name: str, options: HostOptions, answer: Answer, default_answer: Answer
) -> dict[str, Any]:
    """Return the fields of a Host that are about its login.

    name: of the host, for messages. default_answer: of a host that ssh_config does not mention.

    Raises SshConfigError.
    """
    pubkey = answer.get("pubkeyauthentication", ["yes"])[0].lower() in _USES_KEYS
    password = get_flag(answer, "passwordauthentication", default=True)
    interactive = get_flag(answer, "kbdinteractiveauthentication", default=True)
    settings = {
        "batch_mode": _or(options.batch_mode, get_flag(answer, "batchmode", default=False)),
        "number_of_password_prompts": _password_prompts(name, options, answer),
        "preferred_authentications": _preferred(options, answer),
        "pubkey_authentication": _or(options.pubkey_authentication, pubkey),
        "password_authentication": _or(options.password_authentication, password),
        "kbd_interactive_authentication": _or(options.kbd_interactive_authentication, interactive),
        "passphrase_command": options.passphrase_command or (),
        "password_command": options.password_command or (),
        "keyring": options.keyring or False,
        "update_host_keys": _update_host_keys(options, answer, default_answer),
    }
    _reject_no_method(name, settings)
    _check_tokens(name, "passphrase_command", options.passphrase_command, KEY_COMMAND_TOKENS)
    _check_tokens(name, "password_command", options.password_command, COMMAND_TOKENS)
    return settings | _agent_addition(name, options, answer)


def _password_prompts(name: str, options: HostOptions, answer: Answer) -> int:
    if options.number_of_password_prompts is not None:
        return options.number_of_password_prompts
    value = answer.get("numberofpasswordprompts", [str(PASSWORD_PROMPTS)])[0]
    if not (value.isascii() and value.isdecimal()):
        raise SshConfigError(
            f"{name}: expected a number for NumberOfPasswordPrompts of ssh_config, "
            f"got {printable(value)}"
        )
    return int(value)


def _preferred(options: HostOptions, answer: Answer) -> tuple[str, ...]:
    """Return the methods in order. `none` of ssh_config is a list without a method."""
    if options.preferred_authentications is not None:
        return options.preferred_authentications
    methods = answer.get("preferredauthentications", [""])[0].split(",")
    return tuple(dict.fromkeys(method.strip() for method in methods if method.strip()))


def _agent_addition(name: str, options: HostOptions, answer: Answer) -> dict[str, Any]:
    words = options.add_keys_to_agent
    if words is None:
        words = tuple(" ".join(answer.get("addkeystoagent", [])).split())
    try:
        addition = parse_agent_addition(words)
    except ValueFormatError as error:
        raise SshConfigError(f"{name}: AddKeysToAgent: {printable(str(error))}") from None
    return {
        "add_keys_to_agent": addition.how,
        "add_keys_to_agent_lifetime": float(addition.seconds),
    }


def _update_host_keys(
    options: HostOptions, answer: Answer, default_answer: Answer
) -> bool | Literal["ask"]:
    """Return UpdateHostKeys. As in ssh, it is on for the default files of known_hosts only.

    ssh does not see the key known_hosts of the config file, which replaces these files too.
    """
    if options.update_host_keys is not None:
        return options.update_host_keys
    value = answer.get("updatehostkeys", ["no"])[0].lower()
    if value == "ask":
        return "ask"
    is_default = answer.get("updatehostkeys") == default_answer.get("updatehostkeys")
    return value in {"yes", "true"} and not (is_default and options.known_hosts is not None)


def _reject_no_method(name: str, settings: dict[str, Any]) -> None:
    """Reject a host that no method is left for."""
    is_enabled = {
        "publickey": settings["pubkey_authentication"],
        "keyboard-interactive": settings["kbd_interactive_authentication"],
        "password": settings["password_authentication"],
    }
    preferred = settings["preferred_authentications"] or LOGIN_METHODS
    if any(is_enabled.get(method) for method in preferred):
        return
    written = ",".join(settings["preferred_authentications"])
    reasons = [f"PreferredAuthentications is {printable(written)}"] if written else []
    reasons += [f"{method} is off" for method, enabled in is_enabled.items() if not enabled]
    raise SshConfigError(
        f"{name}: no method to log in with is left: {'; '.join(reasons)}",
        f"allow one of {', '.join(LOGIN_METHODS)}; `ssh -G {name}` prints the settings in effect",
    )


def _check_tokens(
    name: str, key: str, command: tuple[str, ...] | None, accepted: frozenset[str]
) -> None:
    """Check the tokens of a command. They are expanded each time that it runs."""
    for word in (command or ())[1:]:
        try:
            expand(word, dict.fromkeys(accepted, ""), accepted)
        except TokenError as error:
            raise SshConfigError(
                f"{name}: {key}: {printable(repr(word))}: {printable(str(error))}",
                f"it accepts {', '.join(f'%{letter}' for letter in sorted(accepted))} and %%",
            ) from None


def _or(value: bool | None, default: bool) -> bool:
    return default if value is None else value
