"""Reading TensorFlow V2 checkpoints (`NAME.index` and `NAME.data-00000-of-00001`) without TensorFlow.

The index is a sorted table: under the empty key a header, under the name of each variable its type, shape, place in the
data files and checksum, as protocol buffers. The data files hold nothing but the numbers.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softseg.errors import ModelError
from softseg.features.crc32c import crc32c, masked
from softseg.features.sorted_table import TableError, table_entries, varint

_LARGEST_INDEX = 1 << 26  # bytes; an entry has about 60
_MOST_SHARDS = 100_000  # their number has five digits in the name
_MOST_AXES = 254  # as in TensorFlow
_BFLOAT16 = 14
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", 10: "|b1", _BFLOAT16: "<u2", 19: "<f2"}
_FILE_NAME = re.compile(r"(?P<prefix>.*)\.(index|data-\d{5}-of-\d{5})")
_ADVICE = "copy the checkpoint again: all of NAME.index and NAME.data-..."


@dataclass(frozen=True)
class Entry:
    """What the index says of one variable."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


class TensorflowCheckpoint:
    """The variables of a checkpoint, read one at a time.

    Parameters
    ----------
    path : `NAME.index`, one of its data files, or `NAME` alone.

    Raises
    ------
    ModelError : there is no such checkpoint, or its index is damaged or no index.

    Examples
    --------
    >>> TensorflowCheckpoint("nothing.index")
    Traceback (most recent call last):
    softseg.errors.ModelError: there is no checkpoint index nothing.index; give the path of NAME.index
    """

    def __init__(self, path: str | Path) -> None:
        match = _FILE_NAME.fullmatch(str(path))
        self.prefix = match["prefix"] if match else str(path)
        self.index = Path(f"{self.prefix}.index")
        data = self._read_index()
        try:
            self._shards, self.entries = _parse_index(data)
        except TableError as error:
            raise ModelError(f"the checkpoint index {self.index} cannot be read: {error}; {_ADVICE}") from error

    def read(self, name: str) -> np.ndarray:
        """The variable of that name, checked against its checksum; bfloat16 as float32.

        Raises
        ------
        ModelError : no such variable, of a type or form that is not read here, or its data are missing or damaged.
        """
        if name not in self.entries:
            raise ModelError(f"{self.index} has no variable {name!r}")
        entry = self.entries[name]
        dtype = self._dtype(name, entry)
        expected = math.prod(entry.shape) * dtype.itemsize
        if entry.size != expected:
            raise self._damaged(name, f"has {entry.size} bytes, but its shape {entry.shape} needs {expected}")
        data = self._data(name, entry)
        if masked(crc32c(data)) != entry.checksum:
            raise self._damaged(name, "does not have the checksum that the index gives")
        values = np.frombuffer(data, dtype=dtype).reshape(entry.shape)
        if entry.type == _BFLOAT16:
            values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return values

    def files(self) -> list[Path]:
        """The index and all data files, whether they are there or not."""
        return [self.index] + [self._shard(number) for number in range(self._shards)]

    def digest(self) -> str:
        """SHA-256 of the index, which holds a checksum of everything in the data files."""
        return hashlib.sha256(self._read_index()).hexdigest()

    def _read_index(self) -> bytes:
        if not self.index.is_file():
            raise ModelError(f"there is no checkpoint index {self.index}; give the path of NAME.index")
        try:
            with self.index.open("rb") as file:
                data = file.read(_LARGEST_INDEX + 1)
        except OSError as error:
            raise ModelError(f"the checkpoint index {self.index} cannot be read: {error.strerror or error}") from error
        if len(data) > _LARGEST_INDEX:
            raise ModelError(f"{self.index} is larger than {_LARGEST_INDEX >> 20} MiB: it is not a checkpoint index")
        return data

    def _dtype(self, name: str, entry: Entry) -> np.dtype:
        if entry.sliced:
            raise ModelError(f"the variable {name} of {self.index} is stored in slices; save it unpartitioned")
        if entry.type not in _TYPES:
            raise ModelError(f"the variable {name} of {self.index} is not of a numeric type (type {entry.type})")
        return np.dtype(_TYPES[entry.type])

    def _data(self, name: str, entry: Entry) -> bytes:
        shard = self._shard(entry.shard)
        try:
            with shard.open("rb") as file:
                there = os.fstat(file.fileno()).st_size
                if entry.offset + entry.size > there:
                    end = entry.offset + entry.size
                    raise self._damaged(name, f"should end at byte {end} of {shard.name}, which has only {there}")
                file.seek(entry.offset)
                data = file.read(entry.size)
        except FileNotFoundError as error:
            raise ModelError(f"the data file {shard} of the checkpoint is missing; {_ADVICE}") from error
        except OSError as error:
            raise ModelError(f"the data file {shard} cannot be read: {error.strerror or error}") from error
        if len(data) != entry.size:
            raise self._damaged(name, f"has only {len(data)} of {entry.size} bytes")
        return data

    def _shard(self, number: int) -> Path:
        return Path(f"{self.prefix}.data-{number:05d}-of-{self._shards:05d}")

    def _damaged(self, name: str, what: str) -> ModelError:
        return ModelError(f"the checkpoint {self.prefix} is damaged: the variable {name} {what}; {_ADVICE}")


def _parse_index(data: bytes) -> tuple[int, dict[str, Entry]]:
    """The number of data files, and the entries by the names of their variables."""
    shards, entries = None, {}
    for key, value in table_entries(data):
        if key:
            if key[0] != 0:  # those are parts of partitioned variables, by place instead of by name
                entries[_text(key)] = _entry(value)
            continue
        header = _fields(value)
        if _number(header, 2):
            raise TableError("its numbers are big-endian, which is not read here")
        shards = _number(header, 1)
    if shards is None or not 0 < shards < _MOST_SHARDS:
        raise TableError("it has no header" if shards is None else f"its header claims {shards} data files")
    wrong = next((name for name, entry in entries.items() if entry.shard >= shards), None)
    if wrong is not None:
        raise TableError(f"the variable {wrong} is said to be in a data file that does not exist")
    return shards, entries


def _entry(value: bytes) -> Entry:
    fields = _fields(value)
    dimensions = [_number(_fields(part), 1) for part in _messages(_fields(_message(fields, 2)), 2)]
    if len(dimensions) > _MOST_AXES or any(side >= 1 << 63 for side in dimensions):
        raise TableError("a shape is not one")
    return Entry(
        type=_number(fields, 1),
        shape=tuple(dimensions),
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size=_number(fields, 5),
        checksum=_number(fields, 6),
        sliced=bool(_messages(fields, 7)),
    )


_Fields = dict[int, list[int | bytes]]
_FIXED = {1: 8, 5: 4}  # bytes of the kinds of fixed length


def _fields(message: bytes) -> _Fields:
    """The values of a protocol buffer by the numbers of their fields."""
    fields: _Fields = {}
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        value, position = _value(message, position, tag & 7)
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _value(message: bytes, position: int, kind: int) -> tuple[int | bytes, int]:
    """The value of a field of that wire kind, and the position after it."""
    if kind == 0:
        return varint(message, position)
    if kind not in _FIXED and kind != 2:
        raise TableError("a field is of an unknown kind")
    length, position = varint(message, position) if kind == 2 else (_FIXED[kind], position)
    part = message[position : position + length]
    if len(part) != length:
        raise TableError("it ends within a field")
    return part if kind == 2 else int.from_bytes(part, "little"), position + length


def _number(fields: _Fields, field: int) -> int:
    """The last value of the field, as protocol buffers have it; 0 where there is none."""
    value = fields.get(field, [0])[-1]
    if not isinstance(value, int):
        raise TableError(f"field {field} is not a number")
    return value


def _messages(fields: _Fields, field: int) -> list[bytes]:
    values = fields.get(field, [])
    parts = [value for value in values if isinstance(value, bytes)]
    if len(parts) != len(values):
        raise TableError(f"field {field} is not a message")
    return parts


def _message(fields: _Fields, field: int) -> bytes:
    return b"".join(_messages(fields, field))


def _text(key: bytes) -> str:
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TableError("the name of a variable is not text") from error
