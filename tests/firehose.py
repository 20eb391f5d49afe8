# SPDX-License-Identifier: MIT
"""Frames for tests that need odd ones: DAG-CBOR, CAR and recordings in their plainest form.

A recording is, frame by frame, its length (4 bytes, big-endian) and its bytes. It shares no code with src/codec.
"""
import hashlib
import struct


class Cid(bytes):
    """A link: the CID's bytes, without the zero before them."""


class Raw(bytes):
    """DAG-CBOR already, right or wrong: put as it is."""


def head(major, n):
    """The head of an item in its shortest form."""
    if n < 24:
        return bytes([major << 5 | n])
    forms = ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q"))
    info, form = next((info, form) for info, form in forms if n < 1 << 8 * struct.calcsize(form))
    return bytes([major << 5 | info]) + struct.pack(form, n)


def encode(value):
    if isinstance(value, Raw):
        return value
    if isinstance(value, Cid):
        return b"\xd8\x2a" + encode(b"\0" + value)
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    items = sorted((k.encode(), v) for k, v in value.items())
    items.sort(key=lambda item: len(item[0]))
    return head(5, len(items)) + b"".join(head(3, len(k)) + k + encode(v) for k, v in items)


def decode(data, at=0):
    """The item there and where it ends. Of sound DAG-CBOR only."""
    major, n = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if n == 27:
            return struct.unpack_from(">d", data, at)[0], at + 8
        return {20: False, 21: True, 22: None}[n], at
    if n >= 24:
        size = 1 << (n - 24)
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major < 2:
        return (n, -1 - n)[major], at
    if major in (2, 3):
        piece = data[at:at + n]
        return (piece if major == 2 else piece.decode()), at + n
    if major == 6:
        link, at = decode(data, at)
        return Cid(link[1:]), at
    values = []
    for _ in range(n * (major - 3)):
        value, at = decode(data, at)
        values.append(value)
    return (values if major == 4 else dict(zip(values[::2], values[1::2]))), at


def split(frame):
    """Header and body of a sound frame."""
    header, at = decode(frame)
    return header, decode(frame, at)[0]


def message(kind, body):
    return encode({"op": 1, "t": kind}) + encode(body)


def cid_of(block, codec=0x71):
    return Cid(bytes([1, codec, 0x12, 0x20]) + hashlib.sha256(block).digest())


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def section(data):
    return varint(len(data)) + data


def car(roots, blocks):
    """Of (cid, block) pairs, whether they fit each other or not."""
    return section(encode({"roots": roots, "version": 1})) + b"".join(section(cid + block) for cid, block in blocks)


def tid(n):
    return "".join("234567abcdefghijklmnopqrstuvwxyz"[n >> shift & 31] for shift in range(60, -1, -5))


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        n = struct.unpack_from(">I", data, at)[0]
        yield data[at + 4:at + 4 + n]
        at += 4 + n


def write(path, frames):
    with open(path, "wb") as file:
        for frame in frames:
            file.write(struct.pack(">I", len(frame)) + frame)
