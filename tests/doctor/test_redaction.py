"""The config file of a bug report has no secrets."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.schema import DEFAULTS_KEYS, TUNNEL_KEYS
from tunnelkeeper.doctor.redaction import COMMANDS, REDACTED, redact_config

SECRET = "correct horse battery staple"


def redacted(text: str) -> dict[str, Any]:
    return tomllib.loads(redact_config(tomllib.loads(text)))


def test_names_and_forwards_stay_and_comments_go() -> None:
    text = """
# the password is correct horse battery staple
[tunnels.db]
host = "me@relay.example.com"  # secret
local = ["5432:db:5432", { listen = 80, connect = "web:80", check = "tcp" }]
socks = "1080"
"""
    assert redacted(text) == {
        "tunnels": {
            "db": {
                "host": "me@relay.example.com",
                "local": ["5432:db:5432", {"listen": 80, "connect": "web:80", "check": "tcp"}],
                "socks": ["1080"],
            }
        }
    }


def test_the_arguments_of_commands_go_and_their_programs_stay() -> None:
    text = f"""
[defaults]
passphrase_command = ["op", "read", "{SECRET}"]
proxy_command = "corkscrew proxy 3128 %h %p {SECRET}"
on_up = ["notify"]
"""
    assert redacted(text)["defaults"] == {
        "passphrase_command": ["op", REDACTED],
        "proxy_command": f"corkscrew {REDACTED}",
        "on_up": ["notify"],
    }


def test_unknown_keys_and_sections_lose_their_values() -> None:
    text = f"""
[tunnels.db]
host = "relay"
pasword = "{SECRET}"
local = [{{ listen = 80, connect = "a:80", token = "{SECRET}" }}]
[secrets]
a = "{SECRET}"
"""
    found = redacted(text)

    assert found["tunnels"]["db"]["pasword"] == REDACTED
    assert found["tunnels"]["db"]["local"][0]["token"] == REDACTED
    assert found["secrets"] == REDACTED


def test_the_path_of_a_check_and_its_user_go() -> None:
    text = """
[tunnels.db]
host = "relay"
local = [{ listen = 80, connect = "a:80", check = "http://me:word@web:80/health?token=x" }]
"""
    [forward] = redacted(text)["tunnels"]["db"]["local"]

    assert forward["check"] == f"http://web:80/{REDACTED}"


VALUES = (
    st.just(SECRET)
    | st.lists(st.just(SECRET), max_size=3)
    | st.dictionaries(st.text(min_size=1, max_size=5), st.just(SECRET), max_size=2)
)
UNKNOWN = st.text("abcdefghij_", min_size=1, max_size=12).filter(lambda key: key not in TUNNEL_KEYS)


@given(st.sampled_from(["defaults", "hosts", "tunnels", "x"]), UNKNOWN, VALUES)
def test_no_value_of_an_unknown_key_is_left(section: str, key: str, value: object) -> None:
    table = {key: value}
    document = {section: table if section == "defaults" else {"a": table}}

    assert SECRET not in redact_config(document)


def test_every_key_that_runs_a_program_is_known() -> None:
    named = {key for key in DEFAULTS_KEYS if key.endswith("_command") or key.startswith("on_")}

    assert named == set(COMMANDS)
