"""Sample archives, made on the spot: good ones, bombs, liars and locked ones."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib

FILES = {"readme.txt": b"Ahoy\n" * 200, "logs/may.csv": b"a,b\n1,2\n" * 300, "logs/June.csv": b"a,b\n"}


def zip_of(
    files: dict[str, bytes] | list[tuple[str, bytes]] | None = None, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return a zip; a list of pairs may repeat a name."""
    pairs = list((FILES if files is None else files).items()) if not isinstance(files, list) else files
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in pairs:
            info = zipfile.ZipInfo(name, (2026, 5, 4, 3, 2, 0))
            info.compress_type = method
            archive.writestr(info, data)
    return target.getvalue()


def zip_with_link(name: str, target: str) -> bytes:
    """Return a zip with a symbolic link in it, as Unix tools write them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, target)
    return out.getvalue()


def encrypted_zip(
    files: dict[str, bytes] | None = None, password: bytes = b"anchor", plain: int = 0
) -> bytes:
    """Return a zip whose entries are locked by the traditional PKWARE cipher, but for the first `plain`."""
    out = io.BytesIO()
    directory = b""
    for index, (name, data) in enumerate((files or FILES).items()):
        crc = zlib.crc32(data)
        locked = index >= plain
        body = _zip_cipher(password, b"\0" * 11 + struct.pack("<I", crc)[3:] + data) if locked else data
        name_bytes = name.encode()
        fields = struct.pack(
            "<HHHHHLLLHH", 20, int(locked), 0, 0, 33, crc, len(body), len(data), len(name_bytes), 0
        )
        directory += b"PK\x01\x02\x14\x03" + fields + struct.pack("<HHHLL", 0, 0, 0, 0, out.tell())
        directory += name_bytes
        out.write(b"PK\x03\x04" + fields + name_bytes + body)
    count = len(files or FILES)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), out.tell(), 0)
    return out.getvalue() + directory + end


def _zip_cipher(password: bytes, data: bytes) -> bytes:
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value: int, byte: int) -> int:
        return zlib.crc32(bytes([byte]), value ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    out = bytearray()
    for byte in data:
        mask = (keys[2] | 2) & 0xFFFF
        out.append(byte ^ ((mask * (mask ^ 1) >> 8) & 0xFF))
        update(byte)
    return bytes(out)


def zip_bomb(size: int = 110 << 20) -> bytes:
    """Return a zip of half a megabyte with one file of `size` zeros."""
    out = io.BytesIO()
    info = zipfile.ZipInfo("zeros.bin")
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", compresslevel=1) as archive, archive.open(info, "w") as entry:
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            entry.write(piece)
    return out.getvalue()


def overlapped_zip(entries: int = 50) -> bytes:
    """Return a zip whose entries all lie at the same place (after David Fifield, 2019)."""
    whole = zip_of({"a.bin": bytes(100_000)})
    end = whole.rindex(b"PK\x05\x06")
    (size, start) = struct.unpack("<LL", whole[end + 12 : end + 20])
    record = whole[start : start + size]
    records = b"".join(record.replace(b"a.bin", b"%05d" % index) for index in range(entries))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, len(records), start, 0)
    return whole[:start] + records + tail


def lying_zip(declared: int = 10) -> bytes:
    """Return a zip whose entry declares `declared` bytes but unpacks to 100,000; its check sum fits."""
    data = bytes(100_000)
    whole = bytearray(zip_of({"a.bin": data}))
    start = struct.unpack("<L", whole[-6:-2])[0]
    for place in (14, start + 16):
        whole[place : place + 4] = struct.pack("<L", zlib.crc32(data[:declared]))
        whole[place + 8 : place + 12] = struct.pack("<L", declared)
    return bytes(whole)


def million_entry_zip(entries: int = 1_000_000) -> bytes:
    """Return a zip64 that has a directory of `entries` files, all of one name and none there."""
    row = (b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    rows = (struct.pack("<4s4B4H3L5H2L", *row) + b"same.txt") * entries
    first = b"PK\x03\x04".ljust(38, b"\0")
    counts = (entries, entries, len(rows), len(first))
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *counts)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(first) + len(rows), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return first + rows + end64 + locator + end


def nested_zip(layers: int, heart: bytes, width: int = 1) -> bytes:
    """Return `heart` in a zip in a zip …, each layer holding `width` copies of the next."""
    data = heart
    for layer in range(layers):
        data = zip_of({f"layer-{layer}-{index}.zip": data for index in range(width)})
    return data


def tar_of(files: dict[str, bytes] | None = None, compression: str = "", members: object = ()) -> bytes:
    """Return a tar, compressed by gz, bz2 or xz where asked; `members` are TarInfos without contents."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{compression}") as archive:
        for name, data in (FILES if files is None else files).items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_778_000_000
            archive.addfile(info, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return target.getvalue()


def tar_member(name: str, type: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, target
    return info


def xz_with_large_dictionary() -> bytes:
    """Return an xz stream of a few bytes that asks for a dictionary of 1 GiB to be unpacked."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 8 << 20}]
    whole = bytearray(lzma.compress(b"hello" * 100, lzma.FORMAT_XZ, filters=filters))
    # Block header: size, flags, filter id 0x21, size of properties 1, the dictionary's size, padding, CRC.
    assert whole[14:16] == b"\x21\x01"
    whole[16] = 36
    length = (whole[12] + 1) * 4
    whole[12 + length - 4 : 12 + length] = struct.pack("<L", zlib.crc32(bytes(whole[12 : 12 + length - 4])))
    return bytes(whole)


def zip_lzma_with_large_dictionary() -> bytes:
    """Return a zip whose entry, packed by LZMA, asks for a dictionary of 2 GiB to be unpacked."""
    whole = bytearray(zip_of({"a.txt": b"Ahoy, " * 50}, zipfile.ZIP_LZMA))
    place = 30 + len("a.txt") + 4 + 1
    assert whole[place - 3 : place] == b"\x05\x00\x5d"
    whole[place : place + 4] = struct.pack("<L", 1 << 31)
    return bytes(whole)
