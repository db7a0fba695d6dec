"""The man pages, made from the pages of docs/ and from the commands of the program.

`python -m docs.manpages --write` (`make man`) writes them into man/; without arguments their
names are printed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from docs.roff import Roff, Section, escaped, heading, parse_sections
from docs.tables import markdown
from tunnelkeeper.cli.main import SUBCOMMANDS, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from markdown_it.tree import SyntaxTreeNode

DOCS = Path(__file__).parent
FOLDER = DOCS.parent / "man"

PAGES = {
    "commands.md": ("tunnelkeeper", 1),
    "autossh.md": ("tunnelkeeper-autossh", 1),
    "config.md": ("tunnels.toml", 5),
    "relay.md": ("relay.toml", 5),
}
"""The man page, by name and section, of each page of docs/ that has one."""

SEE_ALSO = {
    "commands.md": (("ssh", 1), ("ssh_config", 5)),
    "autossh.md": (("autossh", 1), ("ssh", 1), ("ssh_config", 5)),
    "config.md": (("ssh", 1), ("ssh_config", 5)),
    "relay.md": (("sshd", 8), ("sshd_config", 5)),
}
"""Man pages of other programs, by name and section."""

MANUALS = {1: "User Commands", 5: "File Formats"}
OTHER_PAGES = (
    "The other pages of the documentation, such as reliability.md and troubleshooting.md, are in "
    "the folder `docs` of the source."
)

Lines = list[str]


def tunnelkeeper_page() -> Lines:
    """Return tunnelkeeper(1): every command of the program, as docs/commands.md describes it."""
    sections = read_sections("commands.md")
    roff = Roff(link_from("commands.md"))
    context = click.Context(program, info_name="tunnelkeeper")
    summaries = [[f"`{each.name}`", each.summary] for each in SUBCOMMANDS]
    lines = _head("commands.md", "keep SSH tunnels up")
    lines += [".SH SYNOPSIS", ".SY tunnelkeeper"]
    lines += [escaped(piece) for piece in program.collect_usage_pieces(context)]
    lines += [".YS", ".SH DESCRIPTION"]
    # The second paragraph; the first has measured times, which change with each run.
    lines += roff.blocks(read_sections("../README.md")[1].nodes[1:2])
    lines += roff.blocks(node for node in sections[1].nodes if node.type == "paragraph")
    lines += roff.blocks(_parse(markdown(("Command", "Summary"), summaries)))
    lines += [".SH OPTIONS", *roff.blocks(_take(sections, "Global options")[0].nodes)]
    lines.append(".SH COMMANDS")
    for name, command in _commands().items():
        of_command: Lines = []
        for section in _take(sections, name) or described_by_click(name, command):
            of_command += [heading(".SS", section.title), *roff.blocks(section.nodes)]
        lines += of_command + options_missing_in(of_command, command)
    for title, shown in (("Exit codes", "EXIT STATUS"), ("Environment and files", "FILES")):
        for section in _take(sections, title):
            lines += [heading(".SH", shown), *roff.blocks(section.nodes)]
    return lines + _see_also("commands.md")


def autossh_page() -> Lines:
    """Return tunnelkeeper-autossh(1)."""
    command = _commands()["autossh"]
    synopsis = command.collect_usage_pieces(click.Context(command))
    lines = _head("autossh.md", "run a command line of autossh")
    lines += [".SH SYNOPSIS", ".SY tunnelkeeper-autossh"]
    lines += [escaped(piece) for piece in synopsis]
    return [*lines, ".YS", *_whole_page("autossh.md")]


def tunnels_page() -> Lines:
    """Return tunnels.toml(5)."""
    return [*_head("config.md", "the config file of tunnelkeeper"), *_whole_page("config.md")]


def relay_page() -> Lines:
    """Return relay.toml(5): the file, and what the relay does by it."""
    lines = _head("relay.md", "the config file of the relay of tunnelkeeper")
    return [*lines, *_whole_page("relay.md", without="Run it on a public machine")]


def described_by_click(name: str, command: click.Command) -> list[Section]:
    """Return what click knows of a command that docs/commands.md does not describe."""
    context = click.Context(command, info_name=name)
    usage = " ".join(["tunnelkeeper", name, *command.collect_usage_pieces(context)])
    text = f"```\n{usage}\n```\n\n{command.help or ''}\n"
    return [Section(2, name, tuple(_parse(text)))]


def options_missing_in(lines: Lines, command: click.Command) -> Lines:
    """Return the options of a command that its lines do not have, as its help describes them."""
    text = "\n".join(lines)
    context = click.Context(command)
    missing = [
        param
        for param in command.params
        if isinstance(param, click.Option) and escaped(param.opts[-1]) not in text
    ]
    records = [record for param in missing if (record := param.get_help_record(context))]
    table = markdown(("Option", "Meaning"), [[f"`{name}`", text] for name, text in records])
    return list(Roff(link_from("commands.md")).blocks(_parse(table))) if records else []


def read_sections(page: str) -> list[Section]:
    """Return the sections of a page of docs/."""
    return parse_sections((DOCS / page).read_text(encoding="utf-8"))


def link_from(page: str) -> Callable[[str, str], str]:
    """Return a function from the text and the target of a link on a page to what replaces it."""

    def link(text: str, target: str) -> str:
        if "://" in target:
            return f"{text} <{escaped(target)}>"
        name = target.partition("#")[0]
        if name not in PAGES or name == page:
            return text
        reference = _reference(name)
        return reference if text.endswith(".md") else f"{text} ({reference})"

    return link


def _commands() -> dict[str, click.Command]:
    context = click.Context(program)
    found = {name: program.get_command(context, name) for name in program.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def _whole_page(page: str, without: str = "") -> Iterator[str]:
    """Yield all sections of a page, but one, and what follows them in every man page."""
    sections = read_sections(page)
    roff = Roff(link_from(page))
    yield ".SH DESCRIPTION"
    # The list above the first section is the table of contents.
    yield from roff.blocks(node for node in sections[1].nodes if node.type != "bullet_list")
    left_out = {id(section) for section in _take(sections, without)} if without else set()
    for section in sections:
        if section.level < 2 or id(section) in left_out:
            continue
        is_plain = re.fullmatch("[A-Za-z ,']+", section.title)
        if section.level > 2:
            yield heading(".SS", section.title)
        else:
            yield heading(".SH", section.title.upper() if is_plain else section.title)
        yield from roff.blocks(section.nodes)
    yield from _see_also(page)


def _take(sections: list[Section], title: str) -> list[Section]:
    """Return the section of a title of level 2 and those below it; none if it is missing."""
    found: list[Section] = []
    for section in sections:
        if found and section.level <= 2:
            break
        if found or (section.level == 2 and section.title == title):
            found.append(section)
    return found


def _parse(text: str) -> Iterable[SyntaxTreeNode]:
    return parse_sections(text)[0].nodes


def _head(page: str, summary: str) -> Lines:
    name, section = PAGES[page]
    shown = escaped(name.upper() if section == 1 else name)
    return [
        f'.\\" Made from docs/{page} by `make man`.',
        f'.TH "{shown}" {section} "" tunnelkeeper "{MANUALS[section]}"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary, is_prose=True)}",
    ]


def _see_also(page: str) -> Lines:
    others = [_reference(other) for other in PAGES if other != page]
    others += [f"\\fB{name}\\fP({section})" for name, section in SEE_ALSO[page]]
    roff = Roff(link_from(page))
    return [
        ".SH SEE ALSO",
        *[f"{reference}," for reference in others[:-1]],
        others[-1],
        *roff.blocks(_parse(OTHER_PAGES)),
    ]


def _reference(page: str) -> str:
    name, section = PAGES[page]
    return f"\\fB{escaped(name)}\\fP({section})"


MAKERS = {
    "commands.md": tunnelkeeper_page,
    "autossh.md": autossh_page,
    "config.md": tunnels_page,
    "relay.md": relay_page,
}


def generate_files() -> dict[Path, str]:
    """Return the text of each man page, by its path."""
    return {
        FOLDER / "{}.{}".format(*PAGES[page]): "\n".join(make()) + "\n"
        for page, make in MAKERS.items()
    }


def main(arguments: list[str]) -> None:
    """Print the names of the man pages, or write them."""
    if arguments not in ([], ["--write"]):
        sys.exit(f"usage: {sys.argv[0]} [--write]")
    for path, text in generate_files().items():
        if arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
