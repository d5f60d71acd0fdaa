"""What a file is that isn't UTF-8 text, and how it can be turned into such text."""

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
    b"\x80": "the file is a pickle, which isn't read because it could run code; write it as text",
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
