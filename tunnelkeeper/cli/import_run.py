"""One run of `import`: resolve what was found, print or write the tunnels, report the rest."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli.config_change import locked
from tunnelkeeper.cli.json_output import print_text, set_result
from tunnelkeeper.cli.message_output import print_message
from tunnelkeeper.cli.results import Imported, ImportedResult, NotImported
from tunnelkeeper.cli.settings import CommandError, join_names
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import config_file
from tunnelkeeper.importing.deduplicate import deduplicate
from tunnelkeeper.importing.source_commands import ImportedTunnel, NotImportable, UnreadableError
from tunnelkeeper.importing.toml_text import format_tunnels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tunnelkeeper.cli.results import ImportAction
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.importing.config_file import ConfigFile
    from tunnelkeeper.importing.deduplicate import Outcome
    from tunnelkeeper.importing.ssh_g_resolver import Resolver

_MESSAGE_LIMIT = 1000


class ImportRun:
    """The options of an import and its config file. Every method may raise CommandError."""

    def __init__(self, settings: Settings, *, write: bool, replace: bool, trust: bool) -> None:
        if replace and not write:
            raise click.UsageError("--replace goes with --write")
        self._path = settings.config
        self._write = write
        self._replace = replace
        self.trusts_files = trust
        """Whether to read files that another user could have written."""
        self._warnings: list[str] = []

    @cached_property
    def resolver(self) -> Resolver:
        """The resolver that asks ssh what the command lines mean."""
        from tunnelkeeper.importing import ssh_g_resolver

        try:
            return ssh_g_resolver.make_resolver(
                self._file.configuration if self._file else None, trusts_files=self.trusts_files
            )
        except UnreadableError as error:
            raise CommandError(str(error), hint=error.hint) from error

    def finish(self, outcomes: Sequence[Outcome]) -> int:
        """Print or write the tunnels, and report the others. Return the exit code."""
        if not self._write:
            return self._finish(outcomes, None)
        folder = Path(os.path.realpath(self._path)).parent
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            # Again, because another command may have changed it.
            return self._finish(outcomes, self._read_file())

    def _finish(self, outcomes: Sequence[Outcome], file: ConfigFile | None) -> int:
        """Print the tunnels, or write them into a file; then report the others."""
        existing = () if file is None else file.configuration.tunnels
        final = deduplicate(outcomes, existing, replace_existing=self._replace)
        renamed = _find_renamed(outcomes, final, existing)
        tunnels = [each for each in final if isinstance(each, ImportedTunnel)]
        refused = [each for each in final if isinstance(each, NotImportable)]
        if file is not None and tunnels:
            self._write_tunnels(file, tunnels, renamed)
        else:
            print_text(format_tunnels(tunnels), nl=False)
        for each in refused:
            report(each.message.about("not imported"))
        set_result(
            Imported(
                str(file.path) if file is not None and tunnels else None,
                [_result_of(each, file) for each in tunnels],
                [NotImported(each.origin, each.reason, each.hint) for each in refused],
                self._warnings,
            )
        )
        return ExitCode.FAILED if refused else ExitCode.OK

    @cached_property
    def _file(self) -> ConfigFile | None:
        """The config file as it was at first. An invalid one is no error unless it is written."""
        return self._read_file()

    def _read_file(self) -> ConfigFile | None:
        try:
            return config_file.read(self._path)
        except ConfigError as error:
            if self._write:
                raise _write_error(error) from error
            return None

    def _write_tunnels(
        self, file: ConfigFile, tunnels: Sequence[ImportedTunnel], renamed: Mapping[str, str]
    ) -> None:
        advice = [
            Message(
                f"{name} exists already, so this one is named {new}",
                f"to replace {name}, add --replace",
            )
            for new, name in renamed.items()
        ]
        try:
            config_file.write(file, config_file.add_tunnels(file, tunnels))
        except ConfigError as error:
            raise _write_error(error, advice) from error
        for tunnel in tunnels:
            print_text(f"{_action(tunnel, file)} {tunnel.name}: {printable(tunnel.origin)}")
        for each in advice:
            self.warn(each)
        shared = config_file.find_shared_hosts(file, tunnels)
        if shared:
            self.warn(
                Message(f"the [hosts] tables of {join_names(shared)} apply to these tunnels too")
            )
        hint = "`tunnelkeeper reload` makes a running supervisor use it"
        print_text(str(Message(f"{file.path} is written", hint)))

    def warn(self, message: Message) -> None:
        """Report something that the user should know."""
        self._warnings.append(printable(message.text, _MESSAGE_LIMIT))
        report(message)


def _result_of(tunnel: ImportedTunnel, file: ConfigFile | None) -> ImportedResult:
    action = _action(tunnel, file)
    notes = list(tunnel.notes)
    return ImportedResult(tunnel.name, tunnel.origin, action, dict(tunnel.table), notes)


def _action(tunnel: ImportedTunnel, file: ConfigFile | None) -> ImportAction:
    if file is None:
        return "found"
    return "replaced" if tunnel.name in file.configuration.tunnels else "added"


def report(message: Message) -> None:
    """Print a message to stderr. Text from other sources in it is made printable."""
    text = printable(message.text, _MESSAGE_LIMIT)
    print_message(text, message.hint)


def _find_renamed(
    outcomes: Sequence[Outcome], final: Sequence[Outcome], existing: Collection[str]
) -> dict[str, str]:
    """Return the names in the file that imported tunnels gave way to, by their new names."""
    return {
        after.name: before.name
        for before, after in zip(outcomes, final, strict=True)
        if isinstance(before, ImportedTunnel)
        and isinstance(after, ImportedTunnel)
        and before.name != after.name
        and before.name in existing
    }


def _write_error(error: ConfigError, advice: Sequence[Message] = ()) -> CommandError:
    lines = [*error.lines, *map(str, advice), "nothing was written"]
    return CommandError("\n".join(lines), ExitCode.USAGE)
