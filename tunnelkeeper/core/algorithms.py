"""The algorithms that tunnelkeeper and its relay offer by default, never weaker than ssh's.

The lists are those of OpenSSH 10 (myproposal.h) without SHA-1, which OpenSSH keeps as a MAC. The
first name that both sides have is used, in the order of the client (RFC 4253 section 7.1). What the
installed asyncssh does not support is left out at run time: UMAC needs libnettle, and sntrup761
needs liboqs, which is used if it is installed.
"""

from __future__ import annotations

POST_QUANTUM = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
)
"""Key exchanges that resist quantum computers: with ML-KEM, and with Streamlined NTRU Prime."""

ELLIPTIC_CURVES = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
GROUP_14 = "diffie-hellman-group14-sha256"

KEY_EXCHANGES = (
    *POST_QUANTUM,
    *ELLIPTIC_CURVES,
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    GROUP_14,
)
"""The key exchanges of a client."""

RELAY_KEY_EXCHANGES = (*POST_QUANTUM, *ELLIPTIC_CURVES, GROUP_14)
"""The key exchanges of the relay, which has one process for all clients: none that takes long.

A key exchange with the 8192 bits of group 18 takes a hundred times as long as one with curve25519:
20 ms against 0.15 ms.
"""

MIN_GROUP_BITS, PREFERRED_GROUP_BITS, MAX_GROUP_BITS = 2048, 3072, 8192
"""Sizes of the group in a group exchange (RFC 4419, RFC 8270); DH_GRP_MIN and DH_GRP_MAX of ssh.

3072 bits have the strength of AES-128 (dh_estimate() of OpenSSH's dh.c).
"""

AES_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")

CIPHERS = (
    "chacha20-poly1305@openssh.com",
    *AES_GCM,
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)

MACS = (
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
"""The MACs for ciphers that need one. hmac-sha1 is OpenSSH's last choice, and not here."""

SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""The signatures of host keys, of logins and of certificate authorities: ssh's order, no SHA-1."""

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
"""Suffix of certificate type names (PROTOCOL.certkeys of OpenSSH)."""

CERTIFICATES = tuple(name.removesuffix("@openssh.com") + CERTIFICATE_SUFFIX for name in SIGNATURES)
"""The types of certificates, in the order of SIGNATURES."""
