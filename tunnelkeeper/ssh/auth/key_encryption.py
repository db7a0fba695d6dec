"""How private key files are encrypted, and their decryption with a passphrase. It reads no files.

It distinguishes a broken file, a cipher that cannot be used and a wrong passphrase: the container
of the encrypted key is read first, for which no passphrase is needed.
"""

from __future__ import annotations

import binascii
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.asn1 import ASN1DecodeError, ObjectIdentifier, der_decode
from asyncssh.encryption import get_encryption_params
from asyncssh.packet import PacketDecodeError, SSHPacket
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from msgspec import Struct

from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from tunnelkeeper.core.secret import Secret

_OPENSSH_MAGIC = b"openssh-key-v1\0"  # PROTOCOL.key of OpenSSH

_PEM_CIPHERS = frozenset({"AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "DES-EDE3-CBC"})

_PBES2 = "1.2.840.113549.1.5.13"  # RFC 8018
_PBES1 = {"1.2.840.113549.1.12.1.3": "PBE-SHA1-3DES"}
_KEY_DERIVATIONS = {"1.2.840.113549.1.5.12": "PBKDF2", "1.3.6.1.4.1.11591.4.11": "scrypt"}
_PKCS8_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": "AES-128-CBC",
    "2.16.840.1.101.3.4.1.22": "AES-192-CBC",
    "2.16.840.1.101.3.4.1.42": "AES-256-CBC",
    "1.2.840.113549.3.7": "DES-EDE3-CBC",
}


class BrokenKeyError(ValueError):
    """The file is no complete private key. The text says why."""


class WrongPassphraseError(ValueError):
    """The passphrase does not decrypt the key."""

    def __init__(self) -> None:
        super().__init__("the passphrase is wrong")


class Encryption(Struct, frozen=True):
    """The encryption of a private key file.

    container: `OpenSSH`, `PEM` or `PKCS#8`. cipher: its name, made printable. problem: why the key
    cannot be decrypted here, or empty.
    """

    container: str
    cipher: str
    problem: str = ""


def encryption_of(data: bytes) -> Encryption | None:
    """Return how a private key file is encrypted, or None if it is not.

    Raises BrokenKeyError for an encrypted key that is not complete.
    """
    block = _pem_block(data)
    if block is None:
        return None
    label, headers, body = block
    if label == "OPENSSH PRIVATE KEY":
        return _openssh_encryption(body)
    if label == "ENCRYPTED PRIVATE KEY":
        return _pkcs8_encryption(body)
    if headers.get("Proc-Type", "").replace(" ", "") == "4,ENCRYPTED":
        return _pem_encryption(headers, body)
    return None


def decrypt(data: bytes, passphrase: Secret) -> asyncssh.SSHKey:
    """Return the private key of an encrypted file. It may compute for seconds.

    Raises:
        WrongPassphraseError: The passphrase is wrong.
        BrokenKeyError: The file is broken, or its key cannot be used.
    """
    encryption = encryption_of(data)
    if encryption is None:
        raise BrokenKeyError("it is not encrypted")
    if encryption.problem:
        raise BrokenKeyError(encryption.problem)
    if not passphrase:  # ssh-keygen encrypts with no empty passphrase
        raise WrongPassphraseError
    if encryption.container == "OpenSSH":
        return _decrypt_openssh(data, passphrase)
    return _decrypt_pem(data, passphrase)


def _decrypt_openssh(data: bytes, passphrase: Secret) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(data, passphrase.reveal())
    except asyncssh.KeyEncryptionError:  # after encryption_of, it has only this reason left
        raise WrongPassphraseError from None
    except ValueError as error:  # the check bytes were right, so the passphrase was
        raise BrokenKeyError(printable(str(error))) from None


def _decrypt_pem(data: bytes, passphrase: Secret) -> asyncssh.SSHKey:
    try:
        key = serialization.load_pem_private_key(data, passphrase.reveal())
    except UnsupportedAlgorithm as error:
        raise BrokenKeyError(printable(str(error))) from None
    except ValueError:  # these formats have no check: a wrong passphrase gives no valid key
        raise WrongPassphraseError from None
    plain = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        return asyncssh.import_private_key(plain)
    except ValueError as error:
        raise BrokenKeyError(printable(str(error))) from None


def _openssh_encryption(body: bytes) -> Encryption | None:
    if not body.startswith(_OPENSSH_MAGIC):
        raise BrokenKeyError("it is no OpenSSH private key")
    packet = SSHPacket(body[len(_OPENSSH_MAGIC) :])
    try:
        cipher = printable(packet.get_string().decode("ascii", "replace"), 40)
        derivation = printable(packet.get_string().decode("ascii", "replace"), 40)
        packet.get_string()  # the salt and the rounds
        packet.get_uint32()  # the number of keys
        packet.get_string()  # the public key
        encrypted = packet.get_string()
    except PacketDecodeError:
        raise BrokenKeyError("it is cut off") from None
    if cipher == "none":
        return None
    problem = ""
    try:
        *_, block_size, _, _, _ = get_encryption_params(cipher.encode())
    except KeyError:
        return Encryption("OpenSSH", cipher, f"its cipher {cipher} is not supported")
    if derivation != "bcrypt":
        problem = f"its key derivation {derivation} is not supported"
    elif not encrypted or len(encrypted) % max(block_size, 8):
        raise BrokenKeyError("it is cut off")
    elif find_spec("bcrypt") is None:
        problem = "to decrypt it, tunnelkeeper needs the Python package bcrypt"
    return Encryption("OpenSSH", cipher, problem)


def _pem_encryption(headers: dict[str, str], body: bytes) -> Encryption:
    name, _, vector = headers.get("DEK-Info", "").partition(",")
    cipher = printable(name.strip(), 40)
    if not vector or not body:
        raise BrokenKeyError("it is cut off")
    if cipher not in _PEM_CIPHERS:
        return Encryption("PEM", cipher, f"its cipher {cipher} is not supported")
    if len(body) % (8 if cipher == "DES-EDE3-CBC" else 16):
        raise BrokenKeyError("it is cut off")
    return Encryption("PEM", cipher)


def _pkcs8_encryption(body: bytes) -> Encryption:
    """Read the algorithms of an EncryptedPrivateKeyInfo (RFC 5958)."""
    decoded: Any
    try:
        decoded = der_decode(body)
        (scheme, parameters), encrypted = decoded
        name = _oid(scheme)
        if name != _PBES2:
            cipher, derivation = _PBES1.get(name, name), "PBKDF2"
            is_known = name in _PBES1
        else:
            (derivation_oid, _), (cipher_oid, _) = parameters
            derivation = _KEY_DERIVATIONS.get(_oid(derivation_oid), "")
            cipher = _PKCS8_CIPHERS.get(_oid(cipher_oid), _oid(cipher_oid))
            is_known = _oid(cipher_oid) in _PKCS8_CIPHERS
    except (ASN1DecodeError, ValueError, TypeError, IndexError):
        raise BrokenKeyError("it is no complete PKCS#8 key") from None
    if not isinstance(encrypted, bytes) or not encrypted:
        raise BrokenKeyError("it is no complete PKCS#8 key")
    if not is_known:
        return Encryption("PKCS#8", cipher, f"its cipher {cipher} is not supported")
    if not derivation:
        problem = f"its key derivation {_oid(derivation_oid)} is not supported"
        return Encryption("PKCS#8", cipher, problem)
    return Encryption("PKCS#8", cipher)


def _oid(value: object) -> str:
    if not isinstance(value, ObjectIdentifier):
        raise TypeError("not an object identifier")
    return printable(str(value), 60)


def _pem_block(data: bytes) -> tuple[str, dict[str, str], bytes] | None:
    """Return the label, the headers and the contents of the first private key in PEM armour.

    Return None if there is none, and for contents that are no base64.
    """
    lines = iter(data.decode("latin-1").splitlines())
    for line in lines:
        begin = line.strip()
        if begin.startswith("-----BEGIN ") and begin.endswith("PRIVATE KEY-----"):
            break
    else:
        return None
    label = begin.removeprefix("-----BEGIN ").removesuffix("-----")
    headers: dict[str, str] = {}
    base64_lines: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if line.startswith("-----END "):
            break
        if colon:
            headers[name.strip()] = value.strip()
        else:
            base64_lines.append(line.strip())
    try:
        return label, headers, binascii.a2b_base64("".join(base64_lines).encode("latin-1"))
    except binascii.Error:
        return None
