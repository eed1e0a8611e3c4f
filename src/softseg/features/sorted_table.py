"""Reading a sorted string table (the file form of LevelDB, used by TensorFlow for the index of a checkpoint).

The file is damaged or hostile until shown otherwise: every length is compared with what is there before it is used.
Layout: data blocks; an index block whose values say where they are; a footer of 48 bytes, which says where the index
block is. A block is a list of entries (bytes shared with the last key, further bytes of the key, value), then restart
points, which only searching needs; a byte for its compression and a masked CRC-32C follow it.
"""

from __future__ import annotations

from collections.abc import Iterator

from softseg.features.crc32c import crc32c, masked

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
_RAW, _SNAPPY = 0, 1
_LARGEST_BLOCK = 1 << 22  # bytes once decompressed; TensorFlow writes 256 KiB
_LONGEST_KEY = 1 << 12  # else a few bytes each could repeat a long key millions of times


class TableError(ValueError):
    """The bytes are not a sorted table, or not a whole one."""


def table_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of all entries of the table, in the order of the file.

    Raises
    ------
    TableError : cut off, changed (by its checksums), or something else altogether.
    """
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != _MAGIC:
        raise TableError(
            "its last bytes are not those of a TensorFlow V2 index: it is cut off, or another kind of file"
        )
    footer = data[-_FOOTER:-8]
    _, position = _handle(footer, 0)  # of the meta index, which is empty
    index, _ = _handle(footer, position)
    seen = 0
    for _, value in _block_entries(_block(data, *index)):
        block, _ = _handle(value, 0)
        seen += block[1] + _TRAILER
        if seen > len(data):  # else few bytes could name the same block again and again
            raise TableError("its blocks overlap")
        yield from _block_entries(_block(data, *block))


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The number of 7 bits a byte, lowest first, that starts at `position`, and the position after it.

    Raises
    ------
    TableError : the data ends within it, or it has more than 64 bits.

    Examples
    --------
    >>> varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise TableError("it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value, position
    raise TableError("a number has more than 64 bits")


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """(offset, size) of a block, and the position after them."""
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return (offset, size), position


def _block(data: bytes, offset: int, size: int) -> bytes:
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise TableError(f"a block should end at byte {end}, but the file has {len(data)}")
    stored = int.from_bytes(data[end + 1 : end + _TRAILER], "little")
    if masked(crc32c(data[offset : end + 1])) != stored:
        raise TableError(f"the checksum of the block at byte {offset} is wrong")
    if data[end] == _RAW:
        return data[offset:end]
    if data[end] == _SNAPPY:
        return unsnappy(data[offset:end])
    raise TableError(f"the block at byte {offset} has the unknown compression {data[end]}")


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise TableError("a block is shorter than its list of restart points")
    position, key = 0, b""
    while position < end:
        shared, position = varint(block, position)
        further, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or position + further + length > end:
            raise TableError("an entry is longer than its block")
        if shared + further > _LONGEST_KEY:
            raise TableError(f"a name has {shared + further} bytes, expected at most {_LONGEST_KEY}")
        key = key[:shared] + block[position : position + further]
        position += further
        yield key, block[position : position + length]
        position += length


def unsnappy(data: bytes) -> bytes:
    """Decompress one block of raw Snappy, which old versions of TensorFlow may have used.

    Raises
    ------
    TableError : it is cut off, refers to what is not there, or has another length than it says.

    Examples
    --------
    >>> unsnappy(bytes([6, 0b100]) + b"ab" + bytes([0b1, 2]))
    b'ababab'
    """
    size, position = varint(data, 0)
    if size > _LARGEST_BLOCK:
        raise TableError(f"a compressed block claims {size} bytes")
    out = bytearray()
    while position < len(data) and len(out) <= size:
        tag = data[position]
        if tag & 3 == 0:
            length, position = _literal_length(data, position)
            out += data[position : position + length]
            position += length
        else:
            length, offset, position = _copy(data, position)
            if not 0 < offset <= len(out):
                raise TableError("a compressed block refers to bytes before its start")
            while length > 0:  # the copy may overlap what it writes
                piece = out[len(out) - offset :][:length]
                out += piece
                length -= len(piece)
    if len(out) != size or position != len(data):
        raise TableError(f"a compressed block has another length than the {size} bytes it claims")
    return bytes(out)


def _literal_length(data: bytes, position: int) -> tuple[int, int]:
    short, position = data[position] >> 2, position + 1
    if short < 60:
        return short + 1, position
    extra = short - 59
    return int.from_bytes(data[position : position + extra], "little") + 1, position + extra


def _copy(data: bytes, position: int) -> tuple[int, int, int]:
    """(length, how far back, position after it)."""
    tag, kind = data[position], data[position] & 3
    if kind == 1:
        offset = (tag >> 5) << 8 | int.from_bytes(data[position + 1 : position + 2], "little")
        return (tag >> 2 & 7) + 4, offset, position + 2
    width = 2 if kind == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(data[position + 1 : position + 1 + width], "little"), position + 1 + width
