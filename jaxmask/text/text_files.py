"""Data files as UTF-8 text; another file is refused with a word about what it is."""

import re
from pathlib import Path

from jaxmask.text.examples import TaskDataError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Pickles of the first protocols, such as those of Python 2, are text, or nearly so.
_TEXT_PICKLE = re.compile(rb"\(?[dl]p\d+\r?\n|[\]}]q\x00")
_BINARY_PICKLE = b"\x80"

_PICKLE = "the file is a pickle, which isn't read here; jaxmask import reads pickles of sentences"
_EXCEL = "save it in Excel as 'CSV UTF-8'"

# The first bytes of a file, and what they say of it.
_BEGINNINGS = {
    b"\xff\xfe": f"the file is UTF-16, as Excel's 'Unicode Text' is; {_EXCEL}",
    b"\xfe\xff": f"the file is UTF-16, as Excel's 'Unicode Text' is; {_EXCEL}",
    b"PK\x03\x04": f"the file is a zip archive, such as an Excel workbook; {_EXCEL}",
    b"\xd0\xcf\x11\xe0": f"the file is an old Excel workbook; {_EXCEL}",
    b"PAR1": "the file is in Parquet format; write its rows as CSV or as JSON lines",
    b"\x1f\x8b": "the file is compressed by gzip; unpack it",
    b"\xfd7zXZ": "the file is compressed by xz; unpack it",
    _BINARY_PICKLE: _PICKLE,
}


def what_else(content: bytes) -> str:
    """What a file is instead of UTF-8 text, as the rest of an error message; may be empty.

    Example:
        >>> what_else("boy".encode("utf-16-le"))
        ''
        >>> what_else(bytes([0x1F, 0x8B, 8]))
        ': the file is compressed by gzip; unpack it'
    """
    for beginning, words in _BEGINNINGS.items():
        if content.startswith(beginning):
            return f": {words}"
    return ""


def is_pickle(content: bytes) -> bool:
    """Whether the content of a file is a pickle, by its beginning.

    Example:
        >>> import pickle
        >>> [is_pickle(pickle.dumps({}, protocol)) for protocol in (0, 1, 5)], is_pickle(b"boy")
        ([True, True, True], False)
    """
    return content.startswith(_BINARY_PICKLE) or _TEXT_PICKLE.match(content) is not None


def read_text(file: Path) -> str:
    """The text of a data file, with the line ends of any system turned into newlines.

    Raises:
        TaskDataError: the file is missing, isn't UTF-8, is a pickle, or contains control
            characters.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "pairs.tsv"
        ...     written = file.write_text("one" + chr(13) + chr(10) + "two", newline="")
        ...     read_text(file).splitlines()
        ['one', 'two']
    """
    return as_text(read_content(file), file)


def read_content(file: Path) -> bytes:
    """The content of a data file.

    Raises:
        TaskDataError: the file is missing, or can't be read.

    Example:
        >>> read_content(Path("none.tsv"))
        Traceback (most recent call last):
        jaxmask.text.examples.TaskDataError: none.tsv: expected a file to read, found none ...
    """
    try:
        return file.read_bytes()
    except OSError as fault:
        raise TaskDataError(
            f"{file}: expected a file to read, found none ({fault.strerror})"
        ) from fault


def as_text(content: bytes, file: Path) -> str:
    """The text that the content of a data file is, see `read_text`.

    Args:
        content: of the file.
        file: named in messages.

    Raises:
        TaskDataError: the content isn't UTF-8, is a pickle, or contains control characters.

    Example:
        >>> as_text(b"one", Path("pairs.tsv"))
        'one'
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as fault:
        raise TaskDataError(
            f"{file}: expected UTF-8, found byte 0x{fault.object[fault.start]:02x} at "
            f"{fault.start}{what_else(content)}"
        ) from fault
    if is_pickle(content):
        raise TaskDataError(f"{file}: expected text, found something else: {_PICKLE}")
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise TaskDataError(
            f"{file}, line {line}: expected text, found the control character {found[0]!r}"
            + (": UTF-16 has these; save the file as UTF-8" if found[0] == "\0" else "")
        )
    return text
