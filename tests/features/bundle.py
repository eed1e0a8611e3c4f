"""Writes small TensorFlow V2 checkpoints, byte by byte, so that the reader can be tried without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}


def checksum(data: bytes) -> int:
    """Masked CRC-32C, one bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return (((register >> 15) | (register << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(index: int, value: int | bytes, fixed: bool = False) -> bytes:
    if isinstance(value, bytes):
        return number(index << 3 | 2) + number(len(value)) + value
    return number(index << 3 | 5) + struct.pack("<I", value) if fixed else number(index << 3) + number(value)


def entry(type_: int, shape: Iterable[int], shard: int, offset: int, size: int, crc: int, extra: bytes = b"") -> bytes:
    dimensions = b"".join(field(2, field(1, side)) for side in shape)
    places = field(3, shard) + field(4, offset) + field(5, size)
    return field(1, type_) + field(2, dimensions) + places + field(6, crc, fixed=True) + extra


def header(shards: int = 1, big_endian: bool = False) -> bytes:
    return field(1, shards) + (field(2, 1) if big_endian else b"") + field(3, field(1, 1))


def block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """With every key shortened by what it shares with the one before."""
    out, last = bytearray(), b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), min(len(last), len(key)))
        out += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + struct.pack("<II", 0, 1)


def table(entries: Mapping[bytes, bytes], per_block: int = 3, compress: bool = False) -> bytes:
    """A sorted table; `compress`: every block as one Snappy literal."""
    out, places = bytearray(), []
    ordered = sorted(entries.items())

    def add(content: bytes) -> bytes:
        if compress:
            content = number(len(content)) + bytes([61 << 2]) + struct.pack("<H", len(content) - 1) + content
        handle = number(len(out)) + number(len(content))
        content += bytes([int(compress)])
        out.extend(content + struct.pack("<I", checksum(content)))
        return handle

    for start in range(0, len(ordered), per_block):
        part = ordered[start : start + per_block]
        places.append((part[-1][0], add(block(part))))
    footer = add(block([])) + add(block(places))
    return bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_bundle(
    prefix: Path, variables: Mapping[str, np.ndarray], shards: int = 1, crc: int | None = None, compress: bool = False
) -> Path:
    """`prefix`.index and its data files, the variables dealt out to them in turn; returns the index."""
    data = [bytearray() for _ in range(shards)]
    entries = {b"": header(shards)}
    for i, (name, values) in enumerate(sorted(variables.items())):
        content = values.tobytes()
        there = data[i % shards]
        found = checksum(content) if crc is None else crc
        place = entry(TYPES[values.dtype.name], values.shape, i % shards, len(there), len(content), found)
        entries[name.encode()] = place
        there += content
    for i, content in enumerate(data):
        Path(f"{prefix}.data-{i:05d}-of-{shards:05d}").write_bytes(content)
    index = Path(f"{prefix}.index")
    index.write_bytes(table(entries, compress=compress))
    return index
