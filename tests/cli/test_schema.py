from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from docs.schemas import SCHEMAS

if TYPE_CHECKING:
    from tests.cli.conftest import Tool


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_of_a_config_file_is_printed(tool: Tool, kind: str) -> None:
    done = tool("schema", kind)

    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == SCHEMAS[kind]()


def test_the_schema_of_the_tunnels_is_the_default(tool: Tool) -> None:
    assert tool("schema").out == tool("schema", "tunnels").out


def test_another_file_has_no_schema(tool: Tool) -> None:
    done = tool("schema", "ssh_config")

    assert (done.code, done.out) == (2, "")
    assert "'ssh_config' is not one of 'tunnels', 'relay'" in done.err
