"""Search for the ssh or autossh command behind wrappers such as env, exec, sudo or `sh -c`.

Pure: programs are recognized by name. An unsupported wrapper of ssh (sshpass, screen) raises
UnreadableError, because it may change the tunnel; a command without ssh gives no result.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tunnelkeeper.importing.sh_parser import parse_simple_commands
from tunnelkeeper.importing.source_commands import Command, Program, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SSH_PROGRAMS: dict[str, Program] = {
    "autossh": "autossh",
    "ssh": "ssh",
    "tunnelkeeper-autossh": "autossh",
}
_SHELLS = frozenset(["ash", "bash", "dash", "ksh", "sh", "zsh"])
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)

_WRAPPERS = {
    "command": "",
    "env": "uCS",
    "exec": "a",
    "ionice": "cnpPu",
    "nice": "n",
    "nohup": "",
    "runuser": "ug",
    "setsid": "",
    "stdbuf": "ioe",
    "sudo": "ugCDhprRTtU",
}
"""Programs that run the rest of their arguments, and their options that take a value."""

_PASSWORDS = (
    "{} types a password. Let the server accept a key (ssh-copy-id) or set password_command, and "
    "import the line without {}"
)
_DETOURS = (
    "{} changes how it connects. Import the line without {}, and use proxy_command or jump for the "
    "way to the server"
)
_TERMINALS = (
    "{} runs it in a terminal of its own, which a tunnel does not need. Import the line without {}"
)
_WRAPPER_REASONS = {
    name: reason.format(name, name)
    for reason, names in (
        (_PASSWORDS, ("sshpass", "expect", "passh")),
        (_DETOURS, ("proxychains", "proxychains4", "torify", "torsocks", "tsocks")),
        (_TERMINALS, ("byobu", "dtach", "screen", "script", "tmux")),
    )
    for name in names
}
"""Why a line cannot be imported, by the program that runs ssh."""

_HARMLESS_PROGRAMS = frozenset(
    [
        "[",
        "echo",
        "grep",
        "kill",
        "killall",
        "logger",
        "mkdir",
        "pgrep",
        "pkill",
        "printf",
        "ps",
        "rm",
        "test",
        "type",
        "which",
    ]
)
"""Programs that do not run ssh when it is one of their arguments."""

_USER_SWITCHING = frozenset({"runuser", "sudo"})
_USER_OPTION = re.compile(r"--user(=|$)|-[A-Zbeikns]*u")
"""The option that names a user. The rest of the same argument is the name."""
_MAX_DEPTH = 8
"""The limit for nested wrappers. Deeper nesting is not a real setup."""


def find_ssh_commands(
    words: Sequence[str], environment: Mapping[str, str], depth: int = 0
) -> list[Command]:
    """Return the ssh and autossh commands that a command runs; empty if it runs something else.

    Raises UnreadableError if they cannot be determined.
    """
    if not words or depth > _MAX_DEPTH:
        return []
    name = words[0].rpartition("/")[2]
    if name in _SSH_PROGRAMS:
        return [Command(_SSH_PROGRAMS[name], tuple(words[1:]), dict(environment))]
    if name in _SHELLS and (script := _find_shell_script(words[1:])) is not None:
        return find_in_shell_text(script, environment, depth + 1)
    if name == "su" or (
        name == "runuser" and not any(_USER_OPTION.match(word) for word in words[1:])
    ):
        return _find_behind_su(words[1:], environment, depth + 1)
    if name == "command" and words[1:2] in (["-v"], ["-V"]):  # it only looks up a program
        return []
    if name in _WRAPPERS:
        return _find_behind_wrapper(name, words[1:], environment, depth + 1)
    if name not in _HARMLESS_PROGRAMS and any(is_ssh_program(word) for word in words[1:]):
        raise UnreadableError(_WRAPPER_REASONS.get(name) or _unknown_wrapper(name))
    return []


def find_in_pasted_words(
    program: Program, words: Sequence[str], environment: Mapping[str, str]
) -> list[Command]:
    """Return the commands in a line that a user pasted for a program.

    The line may start with variables and the program's name, and may be a single argument.

    Raises UnreadableError if the commands cannot be determined.
    """
    if len(words) == 1 and len(words[0].split()) > 1:
        return find_in_shell_text(words[0], environment)
    if len(words) > 1 and (is_ssh_program(words[0]) or _ASSIGNMENT.fullmatch(words[0])):
        return find_ssh_commands(["env", *words], environment)
    return [Command(program, tuple(words), dict(environment))]


def find_in_shell_text(text: str, environment: Mapping[str, str], depth: int = 0) -> list[Command]:
    """Return the ssh and autossh commands in the text of a shell script.

    Raises UnreadableError if they cannot be determined.
    """
    found: list[Command] = []
    for command in parse_simple_commands(text, environment):
        ssh_commands = find_ssh_commands(command.words, command.variables, depth)
        if ssh_commands and command.reason:
            raise UnreadableError(command.reason)
        found += ssh_commands
    return found


def _unknown_wrapper(name: str) -> str:
    return (
        f"{name} runs it, and what {name} does for the tunnel is not known. If the tunnel works "
        f"without {name}, import the line without it"
    )


def is_ssh_program(word: str) -> bool:
    """Return whether a word is the name or path of ssh or autossh."""
    return word.rpartition("/")[2] in _SSH_PROGRAMS


def _find_shell_script(arguments: Sequence[str]) -> str | None:
    """Return the script after a shell's -c, which may be joined with other flags: `-lc`."""
    for index, word in enumerate(arguments[:-1]):
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            return arguments[index + 1]
    return None


def _find_behind_wrapper(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], depth: int
) -> list[Command]:
    """Return the commands that a wrapper runs after its own options and assignments."""
    rest = list(arguments)
    variables = dict(environment)
    account = None
    while rest and (rest[0].startswith("-") or _ASSIGNMENT.fullmatch(rest[0])):
        word = rest.pop(0)
        if word == "--":
            break
        if match := _ASSIGNMENT.fullmatch(word):
            variables[match[1]] = match[2]
        elif name == "env" and word in {"-", "-i", "--ignore-environment"}:
            variables = {}
        elif name in _USER_SWITCHING and (match := _USER_OPTION.match(word)):
            account = word[match.end() :] or (rest.pop(0) if rest else None)
        elif not word.startswith("--") and word[-1] in _WRAPPERS[name] and rest:
            rest.pop(0)
    found = find_ssh_commands(rest, variables, depth)
    return [replace(command, account=command.account or account) for command in found]


def _find_behind_su(
    arguments: Sequence[str], environment: Mapping[str, str], depth: int
) -> list[Command]:
    """Return the commands of `su - USER -c SCRIPT`; options may precede or follow the user."""
    rest = list(arguments)
    account, script = None, None
    while rest:
        word = rest.pop(0)
        if word in {"-c", "--command"} and rest:
            script = rest.pop(0)
        elif word in {"-s", "--shell", "-g", "-G"} and rest:
            rest.pop(0)
        elif not word.startswith("-") and account is None:
            account = word
    if script is None:
        return []
    found = find_in_shell_text(script, environment, depth)
    return [replace(command, account=command.account or account or "root") for command in found]
