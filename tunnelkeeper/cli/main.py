"""The entry of the command line: subcommands, global options, and exit codes of errors.

A subcommand's module is imported only when it is used, so that `status` starts fast. Its click
command returns the exit code.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from tunnelkeeper import __version__
from tunnelkeeper.cli import json_output
from tunnelkeeper.cli.error_report import EXPECTED, describe
from tunnelkeeper.cli.global_options import files_named, in_hint, move_to_front
from tunnelkeeper.cli.settings import Settings
from tunnelkeeper.collector import collector
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.paths import set_account_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

    from tunnelkeeper.cli.error_report import ErrorReport

PROGRAM = "tunnelkeeper"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """A subcommand: its name, the module and name of its click command, and a summary."""

    name: str
    module: str
    summary: str
    command: str = "command"


SUBCOMMANDS = (
    Subcommand("init", "tunnelkeeper.cli.init", "write a first config file, import old setups"),
    Subcommand("forward", "tunnelkeeper.cli.forward", "a tunnel at once, as `ssh -N -L` opens it"),
    Subcommand("add", "tunnelkeeper.cli.add", "write a tunnel into the config file"),
    Subcommand("edit", "tunnelkeeper.cli.edit", "open the config file in an editor, and check it"),
    Subcommand("remove", "tunnelkeeper.cli.remove", "remove tunnels from the config file"),
    Subcommand("show", "tunnelkeeper.cli.show", "a tunnel's settings, and where each comes from"),
    Subcommand("up", "tunnelkeeper.cli.up", "hold tunnels up: run the supervisor"),
    Subcommand("down", "tunnelkeeper.cli.control", "stop tunnels, or the supervisor", "down"),
    Subcommand("restart", "tunnelkeeper.cli.control", "close tunnels and reconnect", "restart"),
    Subcommand("status", "tunnelkeeper.cli.status", "show what every tunnel is doing"),
    Subcommand("dashboard", "tunnelkeeper.cli.dashboard", "watch and control on the full screen"),
    Subcommand("wait", "tunnelkeeper.cli.wait", "wait until tunnels are up or down"),
    Subcommand("logs", "tunnelkeeper.cli.logs", "show what happened, newest last"),
    Subcommand("unlock", "tunnelkeeper.cli.unlock", "answer what tunnels wait for", "unlock"),
    Subcommand("lock", "tunnelkeeper.cli.unlock", "forget keys and passwords in memory", "lock"),
    Subcommand(
        "questions", "tunnelkeeper.cli.unlock", "what only a person can answer", "questions"
    ),
    Subcommand("reload", "tunnelkeeper.cli.control", "read the config file again", "reload"),
    Subcommand("check", "tunnelkeeper.cli.check", "validate the config file, connect to nothing"),
    Subcommand("doctor", "tunnelkeeper.cli.doctor", "what is wrong, and what to do about it"),
    Subcommand(
        "schema", "tunnelkeeper.cli.schema", "the JSON Schema of a config file, for editors"
    ),
    Subcommand("demo", "tunnelkeeper.cli.demo", "a tunnel of every kind on loopback, to try"),
    Subcommand("connect", "tunnelkeeper.cli.connect", "stdin and stdout through a tunnel (ssh -W)"),
    Subcommand("trust", "tunnelkeeper.cli.trust", "show and accept the host keys of a tunnel"),
    Subcommand("autossh", "tunnelkeeper.cli.autossh", "run a command line of autossh"),
    Subcommand("relay", "tunnelkeeper.cli.relay", "the relay server for machines behind NAT"),
    Subcommand("import", "tunnelkeeper.cli.import_", "existing setups as tables for tunnels.toml"),
    Subcommand("units", "tunnelkeeper.cli.units", "systemd units: tunnels after every boot"),
    Subcommand("completion", "tunnelkeeper.cli.completion", "let the shell complete command lines"),
    Subcommand("help", "tunnelkeeper.cli.help_text", "explain a command, with examples"),
)

SECTIONS = {
    "First steps": ("init", "add", "up", "status", "logs", "doctor", "dashboard", "down", "demo"),
    "Running tunnels": ("restart", "reload", "wait", "forward", "connect"),
    "The config file": ("edit", "remove", "show", "check", "import", "schema"),
    "Keys, passwords and host keys": ("unlock", "lock", "questions", "trust"),
    "Beyond this shell": ("units", "completion", "relay", "autossh", "help"),
}
"""The commands in the order in which a new user needs them, for the help."""

_EPILOG = """\b
Examples:
  tunnelkeeper add db me@relay.example.com -L 5432:db.internal:5432 --up
  tunnelkeeper status
  tunnelkeeper help add             # explains a command, with examples
  tunnelkeeper completion install   # lets your shell complete all this
"""

ALIASES = {
    "start": "up",
    "stop": "down",
    "ls": "status",
    "list": "status",
    "ps": "status",
    "rm": "remove",
    "delete": "remove",
    "log": "logs",
}
"""Names that other programs have for a command. They work, and the help does not list them."""


class Program(click.Group):
    """The table of subcommands as a click group that imports them late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the table, in its order."""
        return [subcommand.name for subcommand in SUBCOMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a subcommand and return its click command."""
        for subcommand in SUBCOMMANDS:
            if subcommand.name == cmd_name:
                with collector.paused():
                    module = importlib.import_module(subcommand.module)
                command: click.Command = getattr(module, subcommand.command)
                if ctx.resilient_parsing:  # the shell asks for words
                    _attach_completers(command, (cmd_name,))
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Reject an unknown subcommand with a suggestion."""
        known = self.list_commands(ctx)
        args = [ALIASES.get(args[0], args[0]), *args[1:]]
        if ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if args[0] not in known and not args[0].startswith("-"):
            from tunnelkeeper.cli.usage_hints import UnknownCommandError

            raise UnknownCommandError(args[0], [*known, *ALIASES], ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. With --json, print its result or its error as the one JSON value."""
        try:
            code = super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            report = describe(error)
            report = msgspec.structs.replace(
                report, hint=in_hint(report.hint, (ctx.obj or Settings()).options)
            )
            json_output.print_json(ctx, report)
            raise
        json_output.print_json(ctx, None)
        return code

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Let the global options complete their values if the shell asks for words."""
        if extra.get("resilient_parsing"):
            _attach_completers(self)
        return super().make_context(info_name, args, parent, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the subcommands without importing them, and the global options."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(each.name, help=each.summary)
            for each in SUBCOMMANDS
            if each.name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands by section, without importing them, and then the options."""
        summaries = {each.name: each.summary for each in SUBCOMMANDS}
        widest = max(map(len, summaries))
        for title, names in SECTIONS.items():
            rows = [(f"{name:{widest}}", summaries[name]) for name in names if name in summaries]
            with formatter.section(title):
                formatter.write_dl(rows)
        click.Command.format_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and the path of the config file."""
        from tunnelkeeper.cli.help_text import write_config_file

        super().format_epilog(ctx, formatter)
        write_config_file(formatter, (ctx.obj or Settings()).config)


@click.group(
    cls=Program,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--config", metavar="FILE", help="The config file [$TUNNELKEEPER_CONFIG].")
@click.option("--socket", metavar="PATH", help="The control socket [$TUNNELKEEPER_SOCKET].")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an unexpected error.")
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context, config: str | None, socket: str | None, verbose: bool) -> None:
    """Keep SSH tunnels up.

    Without a command it describes the situation and the next step.
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.DEBUG)
    ctx.obj = Settings(config, socket)
    ctx.color = False if os.environ.get("NO_COLOR") else None
    if ctx.invoked_subcommand is None:
        from tunnelkeeper.cli.overview import print_overview

        print_overview(ctx, ctx.obj)


def _attach_completers(command: click.Command, path: tuple[str, ...] = ()) -> None:
    from tunnelkeeper.cli import completers

    completers.attach(command, path)


def main() -> NoReturn:
    """Run the command line of this process and exit with its code."""
    if Path(sys.argv[0]).name == "autossh":  # called through a link
        sys.exit(run(["autossh", *sys.argv[1:]]))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code. Every error is one line on stderr."""
    set_account_variables(os.environ)
    try:
        code = program.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.NoSuchOption as error:
        moved = move_to_front(arguments, error.option_name)
        return run(moved) if moved else _report_usage_error(error, arguments)
    except click.ClickException as error:
        return _report_usage_error(error, arguments)
    except Exception as error:
        if not isinstance(error, EXPECTED):
            import logging

            logging.getLogger(__name__).debug("traceback:", exc_info=error)
        return _print_report(describe(error), files_named(arguments))
    return int(code or 0)


def _print_report(report: ErrorReport, options: Sequence[str]) -> ExitCode:
    from tunnelkeeper.cli.message_output import print_message

    for problem, hint in zip_longest(report.problems, report.hints, fillvalue=""):
        print_message(problem, hint)
    return _print_error(report.message, ExitCode(report.code), in_hint(report.hint, options))


def _print_error(message: str, code: ExitCode, hint: str = "") -> ExitCode:
    from tunnelkeeper.cli.message_output import print_message  # late, so that commands start fast

    print_message(f"{PROGRAM}: {message}", hint)
    return code


def _report_usage_error(error: click.ClickException, arguments: Sequence[str]) -> ExitCode:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the help
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    from tunnelkeeper.cli.usage_hints import explain

    message = explain(error, arguments, [each.name for each in SUBCOMMANDS])
    return _print_error(message.text, ExitCode(error.exit_code), message.hint)
