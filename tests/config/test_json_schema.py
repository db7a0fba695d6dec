"""The JSON Schemas of tunnels.toml and relay.toml: current, and of one mind with the loader."""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from docs.schemas import SCHEMAS, generate_files
from tests.markdown import blocks
from tunnelkeeper.config import schema
from tunnelkeeper.config.errors import InvalidValueError
from tunnelkeeper.config.sections import read_sections
from tunnelkeeper.config.table_reader import read_keys
from tunnelkeeper.relay.config import LIMIT_KEYS, RELAY_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.config.parser import Keys

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.toml"))

TABLES: dict[str, Keys] = {
    "supervisor": schema.SUPERVISOR_KEYS,
    "defaults": schema.DEFAULTS_KEYS,
    "hosts.NAME": schema.HOST_KEYS,
    "tunnels.NAME": schema.TUNNEL_KEYS,
    "backoff": schema.BACKOFF_KEYS,
    "relay": RELAY_KEYS,
    "relay.limits": LIMIT_KEYS,
}
ALL_KEYS = sorted({(table, key) for table, keys in TABLES.items() for key in keys})

EXACT = [at for at in ALL_KEYS if TABLES[at[0]][at[1]].is_exact]


def _match_pattern(
    _validator: object, pattern: str, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """Search as ECMA-262 does, where `$` does not match before a final newline."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": _match_pattern})  # type: ignore[no-untyped-call]
DOCUMENT_VALIDATORS = {name: Validator(make()) for name, make in SCHEMAS.items()}
VALUE_VALIDATORS = {(table, key): Validator(TABLES[table][key].schema) for table, key in ALL_KEYS}


# -- the files -------------------------------------------------------------------------------------


def test_the_shipped_schemas_are_current() -> None:
    for path, text in generate_files().items():
        assert path.read_text(encoding="utf-8") == text, "stale; run `make schemas`"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_in_its_dialect(name: str) -> None:
    document = SCHEMAS[name]()

    Draft202012Validator.check_schema(document)

    assert document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_of_every_table_has_a_description(name: str) -> None:
    document = SCHEMAS[name]()
    definitions = document.get("$defs", {})

    for key, definition in properties_in(document):
        described = definitions[key] if "$ref" in definition else definition
        assert described.get("description", "").endswith("."), key


def properties_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the properties of all tables in a schema."""
    if isinstance(value, dict):
        if value.get("type") == "object":
            yield from value.get("properties", {}).items()
        for each in value.values():
            yield from properties_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from properties_in(each)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_documented_default_is_valid(name: str) -> None:
    document = SCHEMAS[name]()
    properties = [*properties_in(document), *document.get("$defs", {}).items()]
    with_default = [(key, one) for key, one in properties if "default" in one]

    assert with_default
    for key, definition in with_default:
        assert Validator(definition).is_valid(definition["default"]), key


# -- documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    kind = "relay" if path.name == "relay.toml" else "tunnels"

    DOCUMENT_VALIDATORS[kind].validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_toml_block_of_the_docs_is_valid(page: Path) -> None:
    for text in blocks(page, "toml"):
        DOCUMENT_VALIDATORS["tunnels"].validate(tomllib.loads(text))


def accepted_by_loader(kind: str, document: dict[str, Any]) -> bool:
    """Return whether the loader finds no problem within the values of a document."""
    if kind == "relay":
        return not read_keys(document, RELAY_KEYS)[1]
    return not read_sections(document)[1]


SAMPLES = [
    ("relay" if path.name == "relay.toml" else "tunnels", tomllib.loads(path.read_text()))
    for path in EXAMPLES
]
SAMPLES += [
    ("tunnels", tomllib.loads(text)) for text in blocks(ROOT / "docs" / "config.md", "toml")
]


def tables_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all tables in a document, the document first."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from tables_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from tables_in(each)


@given(st.data())
def test_an_unknown_key_in_any_table_is_refused_by_both(data: st.DataObject) -> None:
    kind, sample = data.draw(st.sampled_from(SAMPLES))
    document = deepcopy(sample)
    tables = [t for t in tables_in(document) if t is not document.get("hosts")]
    table = data.draw(st.sampled_from([t for t in tables if t is not document.get("tunnels")]))
    known = {key for keys in TABLES.values() for key in keys} | {"hosts", "tunnels", "check"}
    known |= {"supervisor", "defaults", "connect", "listen", "allow_users", "password_file"}
    key = data.draw(st.text(st.sampled_from("abz_-."), min_size=1).filter(lambda k: k not in known))
    assert DOCUMENT_VALIDATORS[kind].is_valid(document)
    table[key] = data.draw(VALUES)

    assert not accepted_by_loader(kind, document)
    assert not DOCUMENT_VALIDATORS[kind].is_valid(document)


@given(st.data())
def test_a_key_of_another_table_is_refused_by_both(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["supervisor", "defaults", "hosts.NAME"]))
    foreign = sorted(set(schema.TUNNEL_KEYS) - set(TABLES[name]))
    key = data.draw(st.sampled_from(foreign))
    table = {key: data.draw(VALUES)}
    section = name.removesuffix(".NAME")
    document = {section: {"relay": table} if name.endswith(".NAME") else table}

    assert not accepted_by_loader("tunnels", document)
    assert not DOCUMENT_VALIDATORS["tunnels"].is_valid(document)


@pytest.mark.parametrize(
    "text",
    [
        "tunnels = 1",
        "hosts = []",
        "supervisor = 'text'",
        "[tunnels]\ndb = 1",
        "[tunnels.db]",
        "[tunnels.-db]\nhost = 'h'",
        "[tunnels.'a b']\nhost = 'h'",
        "[[tunnels]]\nhost = 'h'",
        "[tunnels.t]\nhost = 'h'\nlocal = { listen = 1 }",
        "[tunnels.t]\nhost = 'h'\nlocal = { listen = 0, connect = 'h:1' }",
        "[tunnels.t]\nhost = 'h'\nlocal = { listen = 1, connect = 'h:1', password_file = '/p' }",
        "[tunnels.t]\nhost = 'h'\nremote = { listen = 1, allow_users = 0 }",
        "[tunnels.t]\nhost = 'h'\nsocks = { listen = 1, connect = 'h:1' }",
        "[tunnels.t]\nhost = 'h'\nsocks = { listen = 1, check_failures = 2 }",
    ],
)
def test_a_document_of_a_wrong_form_is_refused_by_both(text: str) -> None:
    document = tomllib.loads(text)

    assert not accepted_by_loader("tunnels", document)
    assert not DOCUMENT_VALIDATORS["tunnels"].is_valid(document)


# -- values ----------------------------------------------------------------------------------------

TEXTS = [
    *("none", "any", "no", "yes", "clientspecified", "ask", "strict", "accept-new", "json"),
    *("inet6", "~/.ssh/id", "relay", "u@h:22", "80:db:80", "1080", "127.0.0.1:1080", "/run/x"),
    *("15s", "1h30m", "0s", "500ms", "64M", "10:30:100", "32:128", "tcp", "0177", "cs1", "1G"),
    *("publickey,password", "ask"),
    *("direct-tcpip=1h", "+aes*", "a,b", "*:443", "[2001:db8::]:*", "notify-send 'hi'", "box-*"),
    *("", " ", "a b", "a\nb", "15s\n", "é", "-x", "\x7f"),
]
# JSON Schema does not distinguish 3.0 from 3 and has no nan, so the numbers here have a fraction.
SCALARS = (
    st.booleans()
    | st.integers()
    | st.integers(-2, 70_000)
    | st.floats(-2, 200).filter(lambda number: not number.is_integer())
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.dates()
    | st.text(st.sampled_from("az09 .:-_@/%*\n\x00\"'é"), max_size=8)
    | st.sampled_from(TEXTS)
)
FORWARD_TABLES = st.dictionaries(
    st.sampled_from(["listen", "connect", "check", "check_interval", "allow_users", "initial"]),
    SCALARS,
    max_size=3,
)
VALUES = (
    SCALARS | st.lists(SCALARS, max_size=3) | FORWARD_TABLES | st.lists(FORWARD_TABLES, max_size=2)
)

POOL: list[Any] = [True, False, 0, 1, 22, 1024, 2048, 0.5, 1.5, 80.5, {}, [], *TEXTS]
POOL += [value for _, sample in SAMPLES for table in tables_in(sample) for value in table.values()]
POOL += [[value] for value in POOL if not isinstance(value, list)]
"""Values of every type, among them valid ones for every key."""


def is_accepted(table: str, key: str, value: object) -> bool:
    """Return whether the loader accepts the value of a key."""
    try:
        TABLES[table][key](value)
    except InvalidValueError:
        return False
    return True


def shape(value: object) -> str:
    """Return the type of a value, and those of the elements of a list."""
    if isinstance(value, list):
        return f"list of {sorted({shape(element) for element in value})}"
    return "table" if isinstance(value, dict) else type(value).__name__


SHAPES = {
    (table, key): {shape(value) for value in POOL if is_accepted(table, key, value)}
    for table, key in ALL_KEYS
}
"""The types that the loader accepts for each key."""


@pytest.mark.parametrize(("table", "key"), ALL_KEYS)
def test_the_schema_and_the_loader_agree_on_the_pool(table: str, key: str) -> None:
    assert SHAPES[table, key], "TEXTS or the docs need a valid value"
    for value in POOL:
        check_agreement((table, key), value)


@given(st.sampled_from(ALL_KEYS), VALUES | st.sampled_from(POOL))
def test_the_schema_and_the_loader_agree_on_any_value(at: tuple[str, str], value: object) -> None:
    check_agreement(at, value)


def check_agreement(at: tuple[str, str], value: object) -> None:
    """Check the schema of a key.

    It accepts every value that the loader accepts, and refuses every type that the loader refuses.
    If it is exact, it refuses every value that the loader refuses.
    """
    is_valid = VALUE_VALIDATORS[at].is_valid(value)
    if is_accepted(*at, value):
        assert is_valid, (at, value)
        return
    advice = "is_exact=False for its parser, or a valid value of this type in TEXTS, or a schema"
    parts = [[part] for part in value] if isinstance(value, list) else [value]
    has_wrong_type = any(shape(part) not in SHAPES[at] for part in parts)
    assert not (is_valid and (at in EXACT or has_wrong_type)), f"{at} {value!r} needs: {advice}"


def test_keys_without_a_grammar_have_exact_schemas() -> None:
    assert {"port", "log_level", "autostart", "groups", "keepalive_interval"} <= {
        key for _, key in EXACT
    }
