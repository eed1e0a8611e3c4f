"""CRC-32C, the checksum of TensorFlow's files, computed over many parts of the data at once."""

from __future__ import annotations

import numpy as np

_POLYNOMIAL = np.uint32(0x82F63B78)  # Castagnoli's, lowest bit first
_LANES = 1 << 14
_SHORTEST_LANE = 256
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of `data`.

    The register after the bytes A then B is shift(after A) xor (after B from 0), with shift linear over GF(2): equal
    parts of the data are run through side by side and joined in pairs.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    values = np.frombuffer(data, dtype=np.uint8)
    start = _apply(_zeros(len(values)), np.array([0xFFFFFFFF], dtype=np.uint32))[0]
    return int(start ^ _register(values) ^ np.uint32(0xFFFFFFFF))


def masked(crc: int) -> int:
    """The checksum as TensorFlow stores it: rotated by 15 bits, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _register(values: np.ndarray) -> np.uint32:
    """The register after these bytes, from 0."""
    count = 1
    while count < _LANES and len(values) >= 2 * count * _SHORTEST_LANE:
        count *= 2
    length = -(-len(values) // count)
    lanes = np.zeros(count * length, dtype=np.uint8)
    lanes[len(lanes) - len(values) :] = values  # zeros in front leave a register of 0 as it is
    state = np.zeros(count, dtype=np.uint32)
    for column in lanes.reshape(count, length).T:
        state = _TABLE[(state & 0xFF) ^ column] ^ (state >> np.uint32(8))
    shift = _zeros(length)
    while len(state) > 1:
        state = _apply(shift, state[::2]) ^ state[1::2]
        shift = _apply(shift, shift)
    return np.uint32(state[0])


def _apply(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The product over GF(2) of a matrix, given by its 32 columns, with each of the states."""
    bits = (states[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
    product: np.ndarray = np.bitwise_xor.reduce(bits * matrix, axis=1)
    return product


def _zeros(count: int) -> np.ndarray:
    """The matrix that takes a register past `count` bytes of zero."""
    power, result = _ONE_ZERO, np.uint32(1) << np.arange(32, dtype=np.uint32)
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result


def _table() -> np.ndarray:
    """What each low byte of the register adds as it is shifted out."""
    entries = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        entries = (entries >> np.uint32(1)) ^ (_POLYNOMIAL * (entries & np.uint32(1)))
    return entries


_TABLE = _table()
_BITS = np.uint32(1) << np.arange(32, dtype=np.uint32)
_ONE_ZERO = _TABLE[_BITS & 0xFF] ^ (_BITS >> np.uint32(8))
