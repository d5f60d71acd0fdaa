"""Finds the members of an uncompressed zip archive in memory; nothing is extracted or copied."""

import io
import struct
import zipfile

from jaxmask.files.inert_pickle import CheckpointError, brief
from jaxmask.text.vocabulary import shown

MAX_DIRECTORY = 2**17  # bytes of the archive's directory; a language model's has about 2,000


class _Archive(io.BytesIO):
    """An archive whose directory is short: long ones take `zipfile` very long."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise CheckpointError(f"its directory has {size} bytes, more than {MAX_DIRECTORY}")
        return super().read(size)


def read_members(content: bytes) -> dict[str, memoryview]:
    """The bytes of each member, by name.

    Raises:
        CheckpointError: the archive is broken or cut short, or a member is compressed, encrypted,
            there twice, or not where the directory says.
    """
    try:
        listed = zipfile.ZipFile(_Archive(content)).infolist()
    except Exception as fault:  # zipfile fails in many ways on broken archives
        raise CheckpointError(f"broken zip archive ({fault})"[:300]) from fault
    if len({info.filename for info in listed}) < len(listed):
        raise CheckpointError("the zip archive has two members of one name")
    if sum(info.file_size for info in listed) > len(content):
        raise CheckpointError("the zip archive's members overlap or are cut short")
    view = memoryview(content)
    return {info.filename: _member(view, info) for info in listed}


def _member(view: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """A stored member's bytes, found behind its local header."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"member '{shown(info.filename)}' is compressed or encrypted")
    header = cut(view, info.header_offset, 30, info.filename)
    if bytes(header[:4]) != b"PK\x03\x04":
        raise CheckpointError(f"member '{shown(info.filename)}' isn't where the archive says")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    start = info.header_offset + 30 + name_length + extra_length
    return cut(view, start, info.file_size, info.filename)


def cut(view: memoryview, start: int, length: int, what: str) -> memoryview:
    """A stretch of a file.

    Raises:
        CheckpointError: the file ends before it does.
    """
    if start < 0 or length < 0 or start + length > len(view):
        raise CheckpointError(f"cut short in {brief(what)}")
    return view[start : start + length]
