"""asyncssh's parser of ssh_config, with what it leaves out and an answer is asked for.

It reads files and runs the commands of Match exec. What the values mean is decided elsewhere.
"""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any

from asyncssh.config import SSHClientConfig

from tunnelkeeper.sshconfig.tokens import expand
from tunnelkeeper.sshconfig.unsupported_directives import UNSUPPORTED

WORDS = {
    "HashKnownHosts": "HashKnownHosts",
    "PubkeyAcceptedAlgorithms": "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes": "PubkeyAcceptedAlgorithms",  # its name before OpenSSH 8.5
    "StrictHostKeyChecking": "StrictHostKeyChecking",
}
"""Directives of one word that are honoured and that asyncssh passes over, and their names now."""

LINES = (*UNSUPPORTED, "LocalCommand", "PermitLocalCommand", "ProxyUseFdpass")
"""Directives that are not honoured; whoever has them is told so."""

WITHOUT_VALUE = frozenset({"all", "canonical", "final"})
"""The criteria of Match that have none: ssh_config(5)."""


class SshConfigReader(SSHClientConfig):
    """The directives in effect for one host."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        reader = type(self)
        self._handlers = {
            **{name.lower(): (name, reader.take_line) for name in LINES},
            **{name.lower(): (now, reader.take_word) for name, now in WORDS.items()},
            **self._handlers,
            "include": ("Include", reader.include_in_order),
            "match": ("Match", reader.match_with_tokens),
        }

    def take_line(self, option: str, args: list[str]) -> None:
        """Take the words of a directive, the first time it comes."""
        self._set_string_list(option, args)

    def take_word(self, option: str, args: list[str]) -> None:
        """Take the one word of a directive, the first time it comes."""
        self._set_string(option, args)

    def include_in_order(self, option: str, args: list[str]) -> None:
        """Include a pattern's files as glob(7) sorts them: the first to say something wins."""
        patterns = [str(self._default_path / Path(pattern).expanduser()) for pattern in args]
        found = [sorted(glob.glob(pattern)) for pattern in patterns]  # noqa: PTH207  as ssh does
        args[:] = [glob.escape(path) for paths in found for path in paths]
        self._include(option, args)

    def match_with_tokens(self, option: str, args: list[str]) -> None:
        """Match, with the tokens replaced that the command of `exec` may hold."""
        self._set_tokens()
        places = iter(range(len(args)))
        for place in places:
            criterion = args[place].lower().removeprefix("!")
            value = None if criterion in WITHOUT_VALUE else next(places, None)
            if criterion == "exec" and value is not None:
                args[value] = expand(args[value], self._tokens, frozenset(self._tokens))
        self._match(option, args)
