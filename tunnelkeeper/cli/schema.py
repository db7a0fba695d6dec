"""`tunnelkeeper schema`: print the JSON Schema of tunnels.toml or relay.toml.

The schemas are files of the package, which `docs/schemas.py` generates from the tables of keys.
"""

from __future__ import annotations

from importlib.resources import files

import click

from tunnelkeeper.core.exit_codes import ExitCode

KINDS = ("tunnels", "relay")


_EXAMPLES = """\b
Examples:
  tunnelkeeper schema > tunnels.schema.json
  tunnelkeeper schema relay > relay.schema.json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("kind", metavar="[tunnels|relay]", type=click.Choice(KINDS), default=KINDS[0])
def command(kind: str) -> int:
    """Print the JSON Schema of tunnels.toml, or of relay.toml, for an editor.

    Save it beside the file, and begin the file with this line:

    #:schema ./tunnels.schema.json
    """
    click.echo(schema_text(kind), nl=False)
    return ExitCode.OK


def schema_text(kind: str) -> str:
    """Return the schema of a kind of file, as JSON."""
    schema = files("tunnelkeeper") / "schemas" / f"{kind}.schema.json"
    return schema.read_text(encoding="utf-8")
