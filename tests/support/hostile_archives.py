"""Zip archives that mean harm, or are damaged, made of a sound checkpoint."""

import functools
import io
import random
import re
import struct
import zipfile
import zlib

from support.torch_files import zipped

Random = random.Random

DIRECTORY = {4: "H", 6: "H", 8: "H", 10: "H", 16: "I", 20: "I", 24: "I", 28: "H", 30: "H", 42: "I"}
END = {4: "H", 8: "H", 10: "H", 12: "I", 16: "I", 20: "H"}
EMPTY = b"\0p\0\0"  # an extra field without content
MEMBERS = [
    "../../made-by-a-hostile-file",
    "/tmp/made-by-a-hostile-file",
    "made-by-a-hostile-file",
    "C:\\x",
    "x\0y",
    "",
    "__main__.py",
    "data.pkl",
    "/data.pkl",
    "other/data.pkl",
    "top/",
    "top/../../x",
    "top/data.pkl",
    "top/data/../data.pkl",
    "top/data/0",
    "top/data/",
    "top/constants.pkl",
    "top/byteorder",
    "top/code/x.py",
    "top/\x1b[2J",
    "top/" + "x" * 5000,
]


def archive(rng: Random, sound: bytes) -> bytes:
    """Zip archives with members and directories of all kinds."""
    stream = io.BytesIO(sound)
    with zipfile.ZipFile(stream, "a") as made:
        for name in rng.choices(MEMBERS, k=rng.choice([0, 0, 1, 3, 30])):
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.extra = rng.choice([b"", b"\1\0\x10\0" + b"\xff" * 16, EMPTY * 9, EMPTY * 2_000])
            info.compress_type = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            if name not in made.NameToInfo:
                made.writestr(info, rng.choice([b"", b"N.", b"big", sound[:500]]))
        if rng.random() < 0.2:
            made.comment = rng.choice([b"PK\5\6" + b"\0" * 18, b"x" * 65_535])
    content = bytearray(stream.getvalue())
    if rng.random() < 0.3:  # two members of one name
        content = bytearray(content.replace(b"top/data/0", b"top/data/1"))
    for signature, fields in ((b"PK\1\2", DIRECTORY), (b"PK\5\6", END)):
        for _ in range(rng.choice([0, 1, 3])):
            offset, kind = rng.choice(list(fields.items()))
            value = rng.choice([0, 1, 7, 100, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE])
            field = struct.pack(f"<{kind}", value & (2 ** (8 * struct.calcsize(kind)) - 1))
            at = rng.choice(starts(content, signature) or [0]) + offset
            content[at : at + len(field)] = field
    return bytes(content)


def starts(content: bytes | bytearray, signature: bytes) -> list[int]:
    """Where a signature stands."""
    return [found.start() for found in re.finditer(re.escape(signature), content)]


def zip_bomb(rng: Random, sound: bytes) -> bytes:
    """Members that would be large if they were unpacked, and sizes that aren't true."""
    large = zeros(rng.randint(1, 5))
    name = rng.choice(["top/data.pkl", "top/data/0", "top/version", "top/byteorder"])
    how = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    match rng.randrange(3):
        case 0:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as made:
                made.writestr("top/data.pkl", member(sound, "top/data.pkl"))
                made.writestr(f"top/data/{rng.randrange(7)}", bytes(10**6), how)
            return stream.getvalue()
        case 1:  # one stretch of the file is many members
            many = {str(key): large for key in range(7)}
            content = bytearray(zipped(member(sound, "top/data.pkl"), many))
            first = struct.pack("<I", content.index(b"top/data/0") - 30)
            for start in starts(content, b"PK\1\2"):
                if content[start + 46 :].startswith(b"top/data/"):
                    content[start + 42 : start + 46] = first
            return bytes(content)
        case _:
            content = bytearray(sound)
            at = content.rfind(name.encode()) - 46
            sizes = rng.choices([2**20, 2**31, 2**32 - 2, 10**9], k=2)
            content[at + 20 : at + 28] = struct.pack("<II", *sizes)
            return bytes(content)


@functools.cache
def zeros(megabytes: int) -> bytes:
    """Few bytes that unpack to many."""
    return zlib.compress(bytes(10**6 * megabytes), 1)


def member(content: bytes, name: str) -> bytes:
    """A member of an archive."""
    return zipfile.ZipFile(io.BytesIO(content)).read(name)
