"""A parser for the routing rules of Linux (ip-rule(8)); it opens no socket.

A rule becomes one line of text. An attribute without a name here is part of the line, too, so that
no change of a rule goes unnoticed.
"""

from __future__ import annotations

import socket
import struct

from tunnelkeeper.net.rtnetlink import attributes, network, number

# linux/fib_rules.h
_HEAD = struct.Struct("=BBBBBxxBI")  # fib_rule_hdr: family, prefixes, tos, table, action, flags
_RANGES = {2: struct.Struct("=H"), 4: struct.Struct("=HH"), 8: struct.Struct("=II")}
_NOT = 0x2  # FIB_RULE_INVERT; the other flags repeat what attributes say, or whether a link exists
_DST, _SRC, _IIFNAME, _GOTO, _PRIORITY, _FWMARK = 1, 2, 3, 4, 6, 10
_SUPPRESS_IFGROUP, _SUPPRESS_PREFIXLEN, _TABLE, _FWMASK = 13, 14, 15, 16
_OIFNAME, _PAD, _PROTOCOL = 17, 18, 21
_UID_RANGE, _IP_PROTO, _SPORT_RANGE, _DPORT_RANGE = 20, 22, 23, 24
_SPORT_MASK, _DPORT_MASK = 28, 29
_NO_EFFECT = dict.fromkeys((_SUPPRESS_IFGROUP, _SUPPRESS_PREFIXLEN), b"\xff" * 4)
_NO_EFFECT |= dict.fromkeys((_SPORT_MASK, _DPORT_MASK), b"\xff" * 2)
_IN_FIXED_PLACES = {_DST, _SRC, _PRIORITY, _TABLE, _GOTO}
_IRRELEVANT = {_PAD, _PROTOCOL}  # FRA_PROTOCOL: the program that added the rule
_TO_TABLE, _TO_RULE = 1, 2
_ACTIONS = {3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_TABLES = {253: "default", 254: "main", 255: "local"}
_FAMILIES = {socket.AF_INET: "rule", socket.AF_INET6: "rule (IPv6)"}
_NAMES = {
    _IIFNAME: "iif",
    _OIFNAME: "oif",
    _FWMARK: "fwmark",
    _FWMASK: "fwmask",
    _SUPPRESS_PREFIXLEN: "suppress_prefixlength",
    _SUPPRESS_IFGROUP: "suppress_ifgroup",
    _UID_RANGE: "uidrange",
    _IP_PROTO: "ipproto",
    _SPORT_RANGE: "sport",
    _DPORT_RANGE: "dport",
}


def rule(body: bytes) -> str | None:
    """Return the rule of a message as ip-rule(8) prints it; return None if it is malformed.

    Rules of other families, such as those of multicast routing, are not returned either.
    """
    if len(body) < _HEAD.size:
        return None
    family, to_prefix, from_prefix, tos, table, action, flags = _HEAD.unpack_from(body)
    found = attributes(body[_HEAD.size :])
    if family not in _FAMILIES:
        return None
    source = network(family, found.get(_SRC, b""), from_prefix)
    target = network(family, found.get(_DST, b""), to_prefix)
    if source is None or target is None:
        return None
    fields = [f"{_FAMILIES[family]} {number(found.get(_PRIORITY))}:"]
    fields += ["not"] * bool(flags & _NOT) + [f"from {source or 'all'}"]
    fields += [f"to {target}"] * bool(target) + [f"tos {tos:#04x}"] * bool(tos)
    fields += [
        f"{_NAMES.get(kind, f'attribute {kind}')} {_value(kind, found[kind])}"
        for kind in sorted(found.keys() - _IN_FIXED_PLACES - _IRRELEVANT)
        if found[kind] != _NO_EFFECT.get(kind)
    ]
    return " ".join([*fields, _action(action, number(found.get(_TABLE), table), found)])


def _action(action: int, table: int, found: dict[int, bytes]) -> str:
    if action == _TO_TABLE:
        return f"lookup {_TABLES.get(table, table)}"
    if action == _TO_RULE:
        return f"goto {number(found.get(_GOTO))}"
    return _ACTIONS.get(action, f"action {action}")


def _value(kind: int, data: bytes) -> str:
    if kind in {_IIFNAME, _OIFNAME}:
        return data.rstrip(b"\0").decode(errors="backslashreplace")
    if kind in {_UID_RANGE, _SPORT_RANGE, _DPORT_RANGE} and len(data) in _RANGES:
        return "-".join(map(str, _RANGES[len(data)].unpack(data)))
    if kind in {_FWMARK, _FWMASK} and len(data) == 4:
        return hex(number(data))
    return str(int.from_bytes(data, "little")) if kind in _NAMES else data.hex()
