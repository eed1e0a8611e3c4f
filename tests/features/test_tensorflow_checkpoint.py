"""The reader of TensorFlow's checkpoints: every form it reads, and every kind of damage it must survive."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from softseg.errors import ModelError
from softseg.features.crc32c import crc32c, masked
from softseg.features.sorted_table import TableError, table_entries, unsnappy
from softseg.features.tensorflow_checkpoint import TensorflowCheckpoint

from .bundle import MAGIC, block, checksum, entry, field, header, number, table, write_bundle

RNG = np.random.default_rng(0)
VARIABLES = {
    "conv1/weights": RNG.random((7, 7, 3, 4), dtype=np.float32),
    "conv1/weights/Momentum": RNG.random(3),
    "conv2/biases": RNG.random(5).astype(np.float16),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "flags": np.array([True, False]),
    "global_step": np.array(60_000, dtype=np.int64),
    "other": np.arange(-3, 3, dtype=np.int32),
}


@pytest.mark.parametrize("length", [0, 1, 9, 511, 512, 513, 4096, 5001])
def test_checksums(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert masked(crc32c(data)) == checksum(data)


def test_known_checksums() -> None:
    """RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("suffix", [".index", "", ".data-00000-of-00001"])
def test_every_variable_comes_back(shards: int, compress: bool, suffix: str, tmp_path: Path) -> None:
    write_bundle(tmp_path / "model.ckpt-60000", VARIABLES, shards, compress=compress)
    checkpoint = TensorflowCheckpoint(tmp_path / f"model.ckpt-60000{suffix}")
    assert sorted(checkpoint.entries) == sorted(VARIABLES)
    for name, values in VARIABLES.items():
        found = checkpoint.read(name)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
    assert len(checkpoint.files()) == 1 + shards and all(file.is_file() for file in checkpoint.files())


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0, 0.0, 3.140625], dtype=np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "m.data-00000-of-00001").write_bytes(data)
    entries = {b"": header(), b"x": entry(14, (4,), 0, 0, 8, checksum(data))}
    (tmp_path / "m.index").write_bytes(table(entries))
    np.testing.assert_array_equal(TensorflowCheckpoint(tmp_path / "m").read("x"), values)


def test_an_index_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    index = write_bundle(tmp_path / "m", VARIABLES)
    data = index.read_bytes()
    for length in range(0, len(data), 7):
        index.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"cannot be read: .*; copy the checkpoint again"):
            TensorflowCheckpoint(index)


def test_a_changed_byte_anywhere_in_the_index_is_noticed_or_without_effect(tmp_path: Path) -> None:
    index = write_bundle(tmp_path / "m", VARIABLES)
    data = index.read_bytes()
    expected = TensorflowCheckpoint(index).entries
    refused = 0
    for position in range(len(data)):
        index.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            assert TensorflowCheckpoint(index).entries == expected
        except ModelError:
            refused += 1
    assert refused > 0.8 * len(data)  # the rest is the padding of the footer and the empty meta index


def test_an_index_with_right_checksums_and_wrong_contents_is_refused_or_harmless(tmp_path: Path) -> None:
    """What a forger would write; nothing but ModelError may come out of it."""
    chance = random.Random(0)
    good = entry(1, (3, 2), 0, 0, 24, 7)
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(24))
    refused = 0
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        (tmp_path / "m.index").write_bytes(table({b"": header(), b"x": bytes(bad)}))
        try:
            TensorflowCheckpoint(tmp_path / "m").read("x")
        except ModelError:
            refused += 1
    assert refused == 300  # the checksum 7 is never right


def read_forged(folder: Path, entries: dict[bytes, bytes], name: str = "x") -> None:
    (folder / "m.data-00000-of-00001").write_bytes(bytes(8))
    (folder / "m.index").write_bytes(table(entries))
    TensorflowCheckpoint(folder / "m.index").read(name)


ZEROS = checksum(bytes(8))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({b"x": entry(1, (2,), 0, 0, 8, ZEROS)}, "it has no header"),
        ({b"": header(0)}, "its header claims 0 data files"),
        ({b"": header(1 << 40)}, "its header claims 1099511627776 data files"),
        ({b"": header(big_endian=True)}, "big-endian"),
        ({b"": header(), b"x": entry(1, (2,), 1, 0, 8, ZEROS)}, "x is said to be in a data file that does not exist"),
        ({b"": header(), b"x": entry(1, (2,), 0, 0, 1 << 60, ZEROS)}, r"has 1152921504606846976 bytes, but its shape"),
        ({b"": header(), b"x": entry(1, (1 << 40,), 0, 0, 1 << 42, ZEROS)}, "which has only 8"),
        ({b"": header(), b"x": entry(1, (2,), 0, 1 << 62, 8, ZEROS)}, "which has only 8"),
        ({b"": header(), b"x": entry(1, (2,), 0, 0, 8, ZEROS ^ 1)}, "does not have the checksum"),
        ({b"": header(), b"x": entry(1, (1 << 63, 2), 0, 0, 8, ZEROS)}, "a shape is not one"),
        ({b"": header(), b"x": entry(1, [1] * 300, 0, 0, 4, ZEROS)}, "a shape is not one"),
        ({b"": header(), b"x": entry(7, (2,), 0, 0, 8, ZEROS)}, r"not of a numeric type \(type 7\)"),
        ({b"": header(), b"x": entry(1, (2,), 0, 0, 8, ZEROS, field(7, b""))}, "is stored in slices"),
        ({b"": header(), b"x": field(1, b"text")}, "field 1 is not a number"),
        ({b"": header(), b"x": field(2, 5)}, "field 2 is not a message"),
        ({b"": header(), b"x": b"\x0b"}, "a field is of an unknown kind"),
        ({b"": header(), b"x": b"\x12\x7f"}, "it ends within a field"),
        ({b"": header(), b"x": b"\x08" + b"\xff" * 10}, "more than 64 bits"),
        ({b"": header(), b"\xff\xfe": b""}, "the name of a variable is not text"),
        ({b"": header(), b"n" * 5000: b""}, "a name has 5000 bytes"),
        ({b"": header(), b"y": entry(1, (2,), 0, 0, 8, ZEROS)}, "has no variable 'x'"),
    ],
)
def test_forged_entries(entries: dict[bytes, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read_forged(tmp_path, entries)


def test_the_forger_s_tools_work(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    read_forged(tmp_path, {b"": header(), b"x": entry(1, (2,), 0, 0, 8, ZEROS), b"\0part": b"anything"})


def test_damaged_data_files(tmp_path: Path) -> None:
    index = write_bundle(tmp_path / "m", {"x": np.arange(6.0)})
    shard = tmp_path / "m.data-00000-of-00001"
    data = shard.read_bytes()
    for content, message in (
        (data[:-1], "the variable x should end at byte 48 of m.data-00000-of-00001, which has only 47"),
        (data[:20] + b"\1" + data[21:], "the variable x does not have the checksum that the index gives"),
    ):
        shard.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            TensorflowCheckpoint(index).read("x")
    shard.unlink()
    with pytest.raises(ModelError, match=r"the data file .*m.data-00000-of-00001 of the checkpoint is missing"):
        TensorflowCheckpoint(index).read("x")


def test_what_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no checkpoint index"):
        TensorflowCheckpoint(tmp_path / "m.index")
    (tmp_path / "m.index").mkdir()
    with pytest.raises(ModelError, match="there is no checkpoint index"):
        TensorflowCheckpoint(tmp_path / "m")
    for name, content in (("empty", b""), ("short", b"abc"), ("zeros", bytes(1000)), ("pickle", b"\x80\x04." * 50)):
        (tmp_path / f"{name}.index").write_bytes(content)
        with pytest.raises(ModelError, match="cut off, or another kind of file"):
            TensorflowCheckpoint(tmp_path / name)
    with (tmp_path / "huge.index").open("wb") as file:
        file.truncate(1 << 27)  # a hole: nothing is stored
    with pytest.raises(ModelError, match="is larger than 64 MiB"):
        TensorflowCheckpoint(tmp_path / "huge")


def raw_table(places: list[bytes], content: bytes) -> bytes:
    """One data block, which the index block names at each of these places."""
    out = content + b"\0" + struct.pack("<I", checksum(content + b"\0"))
    index = block([(b"%03d" % i, place) for i, place in enumerate(places)])
    footer = number(0) + number(0) + number(len(out)) + number(len(index))
    out += index + b"\0" + struct.pack("<I", checksum(index + b"\0"))
    return out + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def test_forged_tables() -> None:
    content = block([(b"a", b"1"), (b"b", b"2")])
    here = number(0) + number(len(content))
    assert list(table_entries(raw_table([here], content))) == [(b"a", b"1"), (b"b", b"2")]
    for places, data, message in (
        ([here] * 50, content, "its blocks overlap"),
        ([number(1 << 62) + number(8)], content, "a block should end at byte"),
        ([number(1) + number(len(content))], content, "the checksum of the block at byte 1 is wrong"),
        ([here[:1]], content, "it ends within a number"),
        ([number(0) + number(4)], struct.pack("<I", 1 << 30), "shorter than its list of restart points"),
        ([number(0) + number(11)], b"\x05\x01\x01xy" + bytes(2) + bytes(4), "an entry is longer than its block"),
    ):
        with pytest.raises(TableError, match=message):
            list(table_entries(raw_table(places, data)))


def test_snappy() -> None:
    """Its format description, by hand: literals, copies with one, two and four bytes of offset, overlapping ones."""
    assert unsnappy(number(10) + bytes([4 << 2]) + b"abcde" + bytes([1 | 1 << 2, 5])) == b"abcdeabcde"
    assert unsnappy(number(9) + bytes([2 << 2]) + b"abc" + bytes([2 | 5 << 2, 3, 0])) == b"abcabcabc"
    assert unsnappy(number(70) + bytes([0]) + b"z" + bytes([3 | 63 << 2, 1, 0, 0, 0, 1 | 1 << 2, 1])) == b"z" * 70
    long = bytes(range(256)) * 2
    assert unsnappy(number(512) + bytes([61 << 2]) + struct.pack("<H", 511) + long) == long
    for data, message in (
        (b"", "it ends within a number"),
        (number(1 << 40), "claims 1099511627776 bytes"),
        (number(5) + bytes([4 << 2]) + b"abc", "another length than the 5 bytes"),
        (number(9) + bytes([0]) + b"a" + bytes([1, 2]), "refers to bytes before its start"),
        (number(9) + bytes([0]) + b"a" + bytes([1, 0]), "refers to bytes before its start"),
        (number(2) + bytes([0]) + b"a" + bytes([2 | 63 << 2, 1, 0]), "another length than the 2 bytes"),
    ):
        with pytest.raises(TableError, match=message):
            unsnappy(data)
