"""Deterministic test frames, as the other harnesses make them (see the README for the layout)."""

import hashlib
import struct

TOC = 0xFC  # CELT, full band, 20 ms, stereo, one frame per packet
SILENCE = b"\xf8\xff\xfe"
HEAD = 13


def make_frame(tag: int, index: int) -> bytes:
    body_length = 20 + index * 37 % 141
    body = bytearray()
    block = 0
    while len(body) < body_length:
        body += hashlib.sha256(struct.pack(">III", tag, index, block)).digest()
        block += 1
    return bytes([TOC]) + b"VTF1" + struct.pack(">II", tag, index) + bytes(body[:body_length])


def read_frame(payload: bytes) -> tuple[str, int]:
    """Whether it is one of our frames, whole or damaged, or something else; and its index."""
    if len(payload) < HEAD or payload[0] != TOC or payload[1:5] != b"VTF1":
        return "foreign", 0
    tag, index = struct.unpack(">II", payload[5:HEAD])
    return ("intact" if make_frame(tag, index) == payload else "damaged"), index


class Digest:
    """Order-sensitive: each frame is preceded by its length (u16 BE)."""

    def __init__(self) -> None:
        self.whole = hashlib.sha256()

    def add(self, frame: bytes) -> None:
        self.whole.update(struct.pack(">H", len(frame)) + frame)

    def hex(self) -> str:
        return self.whole.hexdigest()
