"""Reads ssh_config with asyncssh's parser, where the ssh program cannot run.

The answer is that of `ssh -G` as far as the parser goes. What it cannot parse is an error. It does
not canonicalize host names, and reports that in its answer. Lists of algorithms stay as written,
with a leading + - or ^. It overrides private parts of asyncssh.config and rests on asyncssh 2.24.1.
"""

from __future__ import annotations

import asyncio
import errno
import glob
import io
import os
import shlex
import signal
import socket
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh.config import SSHClientConfig

from tunnelkeeper.core.configuration import DEFAULT_SSH_PORT
from tunnelkeeper.core.failures import EXHAUSTION_ERRNOS
from tunnelkeeper.core.ssh_directives import ALIASES, DIRECTIVES, IGNORED_BY_SSH
from tunnelkeeper.core.ssh_values import parse_interval
from tunnelkeeper.core.text import printable
from tunnelkeeper.core.wildcards import matches
from tunnelkeeper.net.fd_limits import are_exhausted, with_inherited_limit
from tunnelkeeper.net.file_trust import judge_status
from tunnelkeeper.net.process_group import ProcessGroup
from tunnelkeeper.net.process_guard import TERMINATE_TIMEOUT
from tunnelkeeper.net.regular_file import read_regular_file
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.sshconfig.config_files import MAX_DEPTH, MAX_FILES, SIZE_LIMIT
from tunnelkeeper.sshconfig.directives_in_effect import READ_BY_FALLBACK
from tunnelkeeper.sshconfig.lookup_request import SSH_ONLY, SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import NONE
from tunnelkeeper.sshconfig.tokens import expand

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.local_facts import Facts
    from tunnelkeeper.sshconfig.lookup_request import Answer, Request

READ_TIMEOUT = 5.0
"""Seconds for one reading. The commands of Match exec can be slow."""
HINT = "ssh itself would read it, but is not installed or does not run for this uid"

LOWERCASE_VALUES = frozenset({"hostname", "stricthostkeychecking"})
"""Keywords whose values ssh prints in lower case."""
SINGLE_LINE_LISTS = frozenset(
    {"globalknownhostsfile", "userknownhostsfile", "revokedhostkeys", "canonicaldomains", "setenv"}
)
FAMILIES = {socket.AF_UNSPEC: "any", socket.AF_INET: "inet", socket.AF_INET6: "inet6"}
DEFAULTS: Answer = {
    # readconf.c of OpenSSH, fill_default_options(); pathnames.h
    "identityfile": [
        f"~/.ssh/{name}"
        for name in ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
    ],
    "userknownhostsfile": ["~/.ssh/known_hosts ~/.ssh/known_hosts2"],
    "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"],
}
SINGLE_WORD_DIRECTIVES = {
    "BatchMode": "BatchMode",
    "BindInterface": "BindInterface",
    "CheckHostIP": "CheckHostIP",
    "NoHostAuthenticationForLocalhost": "NoHostAuthenticationForLocalhost",
    "HashKnownHosts": "HashKnownHosts",
    "NumberOfPasswordPrompts": "NumberOfPasswordPrompts",
    "PubkeyAcceptedAlgorithms": "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",  # the name before OpenSSH 8.5
    "RequiredRSASize": "RequiredRSASize",
    "StreamLocalBindUnlink": "StreamLocalBindUnlink",
    "StrictHostKeyChecking": "StrictHostKeyChecking",
    "UpdateHostKeys": "UpdateHostKeys",
    "WarnWeakCrypto": "WarnWeakCrypto",
}
"""Supported directives of one word that asyncssh ignores, and their current names."""

WORD_LIST_DIRECTIVES = (
    "AddKeysToAgent",
    "ChannelTimeout",
    "IPQoS",
    "PermitRemoteOpen",
    "RevokedHostKeys",
    "StreamLocalBindMask",
)
"""Supported directives of several words that asyncssh ignores."""

INTERVAL_DIRECTIVES = ("ConnectTimeout", "ServerAliveInterval")

CRITERIA_WITHOUT_VALUE = frozenset({"all", "canonical", "final"})
"""Match criteria that take no value: ssh_config(5)."""


class FallbackQuery:
    """A query that reads the files itself.

    Args:
        system_config: The machine's own file, read after the user's.
        timeout: Seconds for one reading.
    """

    def __init__(
        self,
        facts: Facts,
        system_config: Path = Path("/etc/ssh/ssh_config"),
        timeout: float = READ_TIMEOUT,
    ) -> None:
        self._facts = facts
        self._system_config = system_config
        self._timeout = timeout
        self._executor = SerialExecutor()

    async def __call__(self, request: Request) -> Answer:
        """Return the settings of a host.

        Raises:
            SshConfigError: The files cannot be read in time, or have an error.
            OSError: This machine is out of resources (EXHAUSTION_ERRNOS).
        """
        if "Tag" in dict(request.options):
            raise SshConfigError(f"{request.host}: the tag needs ssh (openssh-client)", HINT)
        try:
            async with asyncio.timeout(self._timeout):
                # In a thread: the parser reads files and waits for the commands of Match exec.
                options = await self._executor.call(request, partial(self._read, request))
        except TimeoutError:
            raise SshConfigError(
                f"reading ssh_config for {request.host} took more than {self._timeout:g} s",
                "see what its `Match exec` waits for",
                temporary=True,
            ) from None
        except (OSError, ValueError, asyncssh.Error) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS:
                raise
            raise SshConfigError(
                f"cannot look {request.host} up in ssh_config: {printable(str(error))}", HINT
            ) from None
        return self._answer(request, options)

    def _files(self, request: Request) -> list[Path]:
        if request.source is False:
            return []
        if request.source is not None:
            return [Path(request.source)]
        user = Path(self._facts.home, ".ssh", "config")
        if user.exists() and (reason := judge_status(user.stat())):
            raise OSError(errno.EPERM, reason, str(user))
        return [path for path in (user, self._system_config) if path.exists()]

    def _read(self, request: Request) -> dict[str, object]:
        """Return the options by the parser's names, in the order they were first set."""
        files = self._files(request)

        def load(last: SshConfigReader | None, *, final: bool) -> SshConfigReader:
            user = () if request.user is None else request.user
            port = () if request.port is None else request.port
            loaded = SshConfigReader.load(
                last,
                files,
                False,
                False,
                final,
                self._facts.user,
                user,
                request.host,
                port,
                request.hostname,
            )
            return cast("SshConfigReader", loaded)

        try:
            config = load(None, final=False)
            if config.has_match_final():
                config = load(config, final=True)
        except IndexError:  # asyncssh's parser, at a line such as `=` or `Port`
            raise ValueError("a line has no keyword or no value") from None
        return config.get_options(False)

    def _answer(self, request: Request, options: dict[str, object]) -> Answer:
        answer = {
            "hostname": [request.host],
            "user": [self._facts.user],
            "port": [str(DEFAULT_SSH_PORT)],
            **DEFAULTS,
        }
        for keyword, value in _select_proxy(options, request.jump).items():
            answer[keyword.lower()] = _format_value(keyword.lower(), value)
        for keyword in LOWERCASE_VALUES & answer.keys():
            answer[keyword] = [value.lower() for value in answer[keyword]]
        if request.hostname is not None:
            answer["hostname"] = [request.hostname]
        keeps_defaults = answer["userknownhostsfile"] == DEFAULTS["userknownhostsfile"]
        answer.setdefault("updatehostkeys", ["yes" if keeps_defaults else "no"])
        if answer["updatehostkeys"] == ["ask"]:
            answer["updatehostkeys"] = ["no"]  # as `ssh -N`, which has no session
        if options.get("CanonicalizeHostname"):
            answer[SSH_ONLY] = ["CanonicalizeHostname"]
        return answer | {keyword.lower(): [value] for keyword, value in request.options}


class HandlersOfKnownKeywords(dict[str, Any]):
    """The handlers of asyncssh's parser, by keyword. unknown: handles every other keyword."""

    def __init__(self, handlers: dict[str, Any], unknown: Any) -> None:
        super().__init__(handlers)
        self._unknown = unknown

    def __missing__(self, keyword: str) -> tuple[str, Any]:
        return keyword, self._unknown


class SshConfigReader(SSHClientConfig):
    """The directives in effect for one host. hostname: a HostName that precedes the files."""

    def __init__(self, *args: Any) -> None:
        *args_of_parser, hostname = args
        self._include_depth = self._included_files = 0
        super().__init__(*args_of_parser)
        # asyncssh would expand tokens after each file and again for Match final. sshconfig.resolve
        # expands them once.
        self._percent_expand = set()
        if hostname is not None:
            self._options["Hostname"] = hostname
        reader = type(self)
        handlers = {
            **{name.lower(): (name, reader.skip) for name in (*DIRECTIVES, *IGNORED_BY_SSH)},
            **{name.lower(): (name, reader.set_string_list) for name in READ_BY_FALLBACK},
            **{name.lower(): (name, reader.set_string_list) for name in WORD_LIST_DIRECTIVES},
            **{
                name.lower(): (now, reader.set_string)
                for name, now in SINGLE_WORD_DIRECTIVES.items()
            },
            **self._handlers,
            **{name.lower(): (name, reader.set_interval) for name in INTERVAL_DIRECTIVES},
            "pubkeyauthentication": ("PubkeyAuthentication", reader.set_string),
            "knownhostscommand": ("KnownHostsCommand", reader.set_command),
            "rekeylimit": ("RekeyLimit", reader.set_string_list),
            "include": ("Include", reader.include_sorted),
            "match": ("Match", reader.match_with_tokens),
            "ignoreunknown": ("IgnoreUnknown", reader.set_string_list),
        }
        for alias, name in ALIASES.items():
            handlers[alias] = handlers[name.lower()]
        self._handlers = HandlersOfKnownKeywords(handlers, reader.reject_unknown)

    def skip(self, option: str, args: list[str]) -> None:
        """Ignore a directive that has no effect here."""
        del option
        args.clear()

    def reject_unknown(self, option: str, args: list[str]) -> None:
        """Reject a keyword that ssh does not know, unless IgnoreUnknown names it.

        It may be a misspelt directive that forbids something.
        """
        ignored = cast("list[str]", self._options.get("IgnoreUnknown", []))
        patterns = ",".join(ignored).split(",")
        if not any(matches(option, pattern.lower()) for pattern in patterns):
            self._error(f"bad configuration option: {option}")
        args.clear()

    def set_string_list(self, option: str, args: list[str]) -> None:
        """Store the words of a directive the first time it occurs."""
        self._set_string_list(option, args)

    def set_string(self, option: str, args: list[str]) -> None:
        """Store the word of a directive the first time it occurs."""
        self._set_string(option, args)

    def set_interval(self, option: str, args: list[str]) -> None:
        """Store a time in seconds the first time it occurs. It may have units, as in 1m30s.

        For ssh `none` is the same as no directive, so a later one counts.
        """
        text = args.pop(0)
        if text.lower() != NONE:
            self._set_string(option, [str(parse_interval(text))])

    def set_command(self, option: str, args: list[str]) -> None:
        """Store the words of a command, quoted, the first time it occurs."""
        self._set_string(option, [shlex.join(args)])
        args.clear()

    def include_sorted(self, option: str, args: list[str]) -> None:
        """Include the files of a pattern in sorted order, as glob(7) does: the first value wins."""
        patterns = [str(self._default_path / Path(pattern).expanduser()) for pattern in args]
        found = [sorted(glob.glob(pattern)) for pattern in patterns]  # noqa: PTH207  as ssh does
        if not all(found) and are_exhausted():  # glob() hides that: no file would be included
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        for path in (path for paths in found for path in paths):
            if not Path(path).is_file() and not Path(path).is_dir():
                self._error(f"{path}: not a regular file")  # asyncssh would skip it
            if reason := judge_status(os.stat(path)):  # noqa: PTH116
                self._error(f"{path}: {reason}")
        args[:] = [glob.escape(path) for paths in found for path in paths]
        self._included_files += len(args)
        if self._include_depth >= MAX_DEPTH:
            self._error(f"files include each other more than {MAX_DEPTH} deep")
        if self._included_files > MAX_FILES:
            self._error(f"more than {MAX_FILES} files are included")
        self._include_depth += 1
        try:
            self._include(option, args)
        finally:
            self._include_depth -= 1

    def match_with_tokens(self, option: str, args: list[str]) -> None:
        """Evaluate Match with the tokens expanded in the command of `exec`."""
        self._set_tokens()
        indexes = iter(range(len(args)))
        for index in indexes:
            criterion = args[index].lower().removeprefix("!")
            value_index = None if criterion in CRITERIA_WITHOUT_VALUE else next(indexes, None)
            if criterion == "exec" and value_index is not None:
                args[value_index] = expand(args[value_index], self._tokens, frozenset(self._tokens))
        self._match(option, args)


def open_config(path: Path) -> io.StringIO:
    """Open a file of ssh_config for asyncssh's parser. Raises OSError if it is not regular."""
    return io.StringIO(read_regular_file(path, SIZE_LIMIT).decode())


def run_match_command(command: str) -> bool:
    """Run the command of `Match exec` with the user's shell. Return whether it succeeded.

    It replaces asyncssh's function, which waits without a limit and ends no process.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    process = subprocess.Popen(
        with_inherited_limit([shell, "-c", command]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    group = ProcessGroup(process.pid)
    try:
        return process.wait(READ_TIMEOUT) == 0
    except subprocess.TimeoutExpired:
        group.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATE_TIMEOUT)
        group.send(signal.SIGKILL)
        return process.wait() == 0
    finally:
        group.leader_exited()


asyncssh.config.open = open_config  # type: ignore[attr-defined]
asyncssh.config._exec = run_match_command  # type: ignore[assignment]  # noqa: SLF001


def _select_proxy(options: dict[str, object], jump: str | None) -> dict[str, object]:
    """Return the options without the proxy directive that is ignored. jump: as in Request.

    The first of ProxyJump and ProxyCommand wins, as in ssh. `ProxyJump none` does not suppress a
    later ProxyCommand, but `ProxyCommand none` suppresses a later ProxyJump.
    """
    keywords = [keyword for keyword in options if keyword in {"ProxyJump", "ProxyCommand"}]
    ignored = set(keywords[1:])
    if jump is not None:
        ignored = set(keywords)
    elif options.get("ProxyJump") is None:
        ignored = {"ProxyJump"}
    return {keyword: value for keyword, value in options.items() if keyword not in ignored}


def _format_value(keyword: str, value: object) -> list[str]:
    """Return a value as `ssh -G` prints it."""
    match value:
        case None | []:
            return [NONE]
        case bool():
            return ["yes" if value else "no"]
        case socket.AddressFamily():
            return [FAMILIES[value]]
        case list() if keyword in SINGLE_LINE_LISTS:
            return [" ".join(str(word) for word in value)]
        case list() | tuple():
            words = [str(word) for word in value]
        case _:
            words = [str(value)]
    return words
