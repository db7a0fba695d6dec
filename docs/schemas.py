"""The JSON Schemas of tunnels.toml and relay.toml, made from the tables of keys in the code.

The descriptions are the rows of the tables in docs/config.md and docs/relay.md.
`python -m docs.schemas --write` writes the files that `tunnelkeeper schema` prints; without
arguments they are printed.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.tables import read_tables
from docs.text import plain
from tunnelkeeper.config import schema
from tunnelkeeper.config.parser import table_schema
from tunnelkeeper.config.value_parsers import name as name_parser
from tunnelkeeper.relay.config import RELAY_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docs.tables import Row
    from tunnelkeeper.config.parser import Keys

DOCS = Path(__file__).parent
FOLDER = DOCS.parent / "tunnelkeeper" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

TUNNEL_TABLES = (
    "[supervisor]",
    "[hosts.NAME]: keys of a host",
    "[tunnels.NAME]: keys of a tunnel",
    "backoff",
    "Checks",
)
"""The headings in docs/config.md below which each key has a row. Names are the same in all."""

Annotations = dict[str, dict[str, Any]]
"""The `description` of each key and, if it can be written in TOML, its `default`."""


def tunnels_schema() -> dict[str, Any]:
    """Return the schema of tunnels.toml."""
    page = (DOCS / "config.md").read_text(encoding="utf-8")
    annotations = read_annotations(page, TUNNEL_TABLES)
    keys = {**schema.OWN_KEYS, **schema.HOST_KEYS, **schema.POLICY_KEYS}
    definitions = {key: annotated(parser.schema, annotations) for key, parser in keys.items()}
    for key, definition in definitions.items():
        definition.update(annotations[key])
    tables = read_annotations(page, ("Tables and precedence",))
    properties = {
        "supervisor": annotated(table_schema(schema.SUPERVISOR_KEYS), annotations),
        "defaults": _table_of_references(schema.DEFAULTS_KEYS),
        "hosts": _named(_table_of_references(schema.HOST_KEYS)),
        "tunnels": _named({**_table_of_references(schema.TUNNEL_KEYS), "required": ["host"]}),
    }
    for key, text in tables.items():
        properties[re.findall("[a-z]+", key)[0]].update(text)
    return _document("tunnels.toml", "The tunnels of tunnelkeeper", properties, definitions)


def relay_schema() -> dict[str, Any]:
    """Return the schema of relay.toml."""
    page = (DOCS / "relay.md").read_text(encoding="utf-8")
    annotations = read_annotations(page, ("relay.toml",))
    annotations["limits"] = {"description": "Limits of clients; 0 means no limit."}
    properties = annotated(table_schema(RELAY_KEYS), annotations)["properties"]
    return _document("relay.toml", "The relay of tunnelkeeper", properties, {})


def read_annotations(page: str, headings: tuple[str, ...]) -> Annotations:
    """Return what the tables below some headings of a page say about each key.

    Raises ValueError if a heading is missing.
    """
    found: Annotations = {}
    for heading in headings:
        for row in read_tables(page, heading):
            for key in _keys_of(row):
                found.setdefault(key, _annotation(row))
    return found


def annotated(value: Any, annotations: Annotations) -> Any:
    """Return a schema with annotations for all properties of tables in it, at any depth."""
    if isinstance(value, list):
        return [annotated(element, annotations) for element in value]
    if not isinstance(value, dict):
        return value
    found = {key: annotated(element, annotations) for key, element in value.items()}
    if found.get("type") == "object":
        for key, definition in found["properties"].items():
            definition.update(annotations[key])
    return found


def _table_of_references(keys: Keys) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"$ref": f"#/$defs/{key}"} for key in keys},
        "additionalProperties": False,
    }


def _named(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": name_parser.schema,
        "additionalProperties": table,
    }


def _document(
    title: str, description: str, properties: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "title": title,
        "description": f"{description}.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def _keys_of(row: Row) -> Iterator[str]:
    """Yield the keys of the first column, such as `a`, `b`."""
    yield from re.findall(r"`([^`]+)`", next(iter(row.values())))


def _annotation(row: Row) -> dict[str, Any]:
    sentences = [_sentence(plain(row.get("Meaning") or row.get("Contents") or ""))]
    annotation: dict[str, Any] = {}
    if "Default" in row:
        default = row["Default"]
        sentences.append(f"Default: {plain(default)}.")
        if re.fullmatch("`[^`]+`", default):
            annotation["default"] = tomllib.loads(f"value = {default.strip('`')}")["value"]
    if "ssh_config" in row:
        sentences.append(f"In ssh_config: {plain(row['ssh_config'])}.")
    return {"description": " ".join(sentences), **annotation}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


SCHEMAS = {"tunnels": tunnels_schema, "relay": relay_schema}


def generate_files() -> dict[Path, str]:
    """Return the text of each file that is shipped, by its path."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(make(), indent=2, ensure_ascii=False) + "\n"
        for name, make in SCHEMAS.items()
    }


def main(arguments: list[str]) -> None:
    """Print the schemas, or write them into the package."""
    if arguments not in ([], ["--write"]):
        sys.exit(f"usage: {sys.argv[0]} [--write]")
    for path, text in generate_files().items():
        if arguments:
            path.write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
