"""The table of docs/ssh-config.md, made from the table of directives in the code.

`python -m docs.directives --write` writes it into the page; without arguments it is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docs.sections import markers, put_between
from docs.tables import markdown
from tunnelkeeper.core.ssh_directives import ALIASES, DIRECTIVES, IGNORED_BY_SSH, Directive

PAGE = Path(__file__).parent / "ssh-config.md"
BEGIN, END = markers("directives")


def directives_table() -> str:
    """Return the table of all directives."""
    rows = [
        [f"`{name}`", _support(directive), directive.effect]
        for name, directive in DIRECTIVES.items()
    ]
    return markdown(("Directive", "Here", "What it does"), rows)


def other_names() -> str:
    """Return the table of earlier names, and the keywords that ssh ignores."""
    rows = [[f"`{alias}`", f"`{name}`"] for alias, name in ALIASES.items()]
    ignored = ", ".join(f"`{name}`" for name in IGNORED_BY_SSH)
    return (
        f"Earlier names mean the same as in ssh:\n\n{markdown(('Name', 'Directive'), rows)}\n\n"
        f"ssh itself ignores these: {ignored}."
    )


def with_tables(page: str) -> str:
    """Return a page with the tables between its markers.

    Raises ValueError if a marker is missing.
    """
    return put_between(BEGIN, END, page, f"{directives_table()}\n\n{other_names()}")


def _support(directive: Directive) -> str:
    return f"{directive.support}, named" if directive.is_named else str(directive.support)


def main(arguments: list[str]) -> None:
    """Print the tables, or write them into docs/ssh-config.md."""
    if arguments == ["--write"]:
        PAGE.write_text(with_tables(PAGE.read_text()))
    elif arguments:
        sys.exit(f"usage: {sys.argv[0]} [--write]")
    else:
        sys.stdout.write(f"{directives_table()}\n\n{other_names()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
