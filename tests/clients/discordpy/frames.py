"""Deterministic test frames, as the other two harnesses make them (see the README for the layout)."""

import hashlib
import struct

TOC = 0xFC  # CELT, full band, 20 ms, stereo, one frame per packet


def make_frame(tag: int, index: int) -> bytes:
    body_length = 20 + index * 37 % 141
    body = bytearray()
    block = 0
    while len(body) < body_length:
        body += hashlib.sha256(struct.pack(">III", tag, index, block)).digest()
        block += 1
    return bytes([TOC]) + b"VTF1" + struct.pack(">II", tag, index) + bytes(body[:body_length])


def digest_of(frames: list[bytes]) -> str:
    """Order-sensitive: each frame is preceded by its length (u16 BE)."""
    whole = hashlib.sha256()
    for frame in frames:
        whole.update(struct.pack(">H", len(frame)) + frame)
    return whole.hexdigest()
