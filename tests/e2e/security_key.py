"""An agent with one security key (FIDO) in software. It needs no device and no touch."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING

from asyncssh.packet import Byte, MPInt, SSHPacket, String, UInt32
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    import socket
    from pathlib import Path

APPLICATION = b"ssh:"
USER_PRESENT = 1
FAILURE = Byte(5)  # messages of draft-miller-ssh-agent
REQUEST_IDENTITIES, IDENTITIES_ANSWER, SIGN_REQUEST, SIGN_RESPONSE = 11, 12, 13, 14


class SecurityKeyAgent:
    """Serves the agent protocol. kind: `ed25519` or `ecdsa`."""

    def __init__(self, kind: str) -> None:
        self._ed25519 = ed25519.Ed25519PrivateKey.generate()
        self._ecdsa = ec.generate_private_key(ec.SECP256R1())
        self._kind = kind
        if kind == "ed25519":
            self.key_type = b"sk-ssh-ed25519@openssh.com"
            point = self._ed25519.public_key().public_bytes_raw()
            fields = [point]
        else:
            self.key_type = b"sk-ecdsa-sha2-nistp256@openssh.com"
            encoding = Encoding.X962, PublicFormat.UncompressedPoint
            fields = [b"nistp256", self._ecdsa.public_key().public_bytes(*encoding)]
        self.blob = b"".join(map(String, (self.key_type, *fields, APPLICATION)))

    def write_public_key(self, path: Path) -> None:
        """Write `PATH.pub`."""
        path.with_name(f"{path.name}.pub").write_bytes(self.public_line())

    def public_line(self) -> bytes:
        """Return the public key as a line of a file."""
        return self.key_type + b" " + base64.b64encode(self.blob) + b" security key\n"

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one client."""
        with connection.makefile("rwb") as stream:
            while size := stream.read(4):
                answer = self.answer(SSHPacket(stream.read(int.from_bytes(size))))
                stream.write(String(answer))
                stream.flush()

    def answer(self, request: SSHPacket) -> bytes:
        """Return the answer to one request."""
        number = request.get_byte()
        if number == REQUEST_IDENTITIES:
            return b"".join(
                (Byte(IDENTITIES_ANSWER), UInt32(1), String(self.blob), String("security key"))
            )
        if number == SIGN_REQUEST and request.get_string() == self.blob:
            return Byte(SIGN_RESPONSE) + String(self._sign(request.get_string()))
        return FAILURE

    def _sign(self, data: bytes) -> bytes:
        state = Byte(USER_PRESENT) + UInt32(7)  # flags and counter
        signed = sha256(APPLICATION).digest() + state + sha256(data).digest()
        if self._kind == "ed25519":
            signature = self._ed25519.sign(signed)
        else:
            r, s = decode_dss_signature(self._ecdsa.sign(signed, ec.ECDSA(SHA256())))
            signature = MPInt(r) + MPInt(s)
        return String(self.key_type) + String(signature) + state
