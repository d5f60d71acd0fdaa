"""Lines of a table as text: cells separated by tabs, commas or semicolons, some of them quoted.

pandas and Excel put a cell in quotation marks if it contains a separator or a quotation mark, which
is then doubled. Each row of a table is one line here, so that errors can name the line.
"""

import csv
import unicodedata

# What separates cells, in words.
SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
LONGEST_CELL = 100_000  # characters; longer cells are refused

# The name that pandas gives to a column of row numbers when it reads or writes a table.
INDEX_NAMES = ("", "unnamed: 0", "index")


class CellError(ValueError):
    """A line can't be divided into cells; says why.

    Example:
        >>> try:
        ...     cells('The boy,"2', ",")
        ... except CellError as fault:
        ...     print(fault)
        expected cells separated by commas, found a quotation mark that isn't closed
    """


def separator_of(header: str) -> str:
    r"""The character that separates the cells of a table, from its first line.

    Example:
        >>> separator_of("sentence,position"), separator_of("one, two\tthree")
        (',', '\t')
    """
    if "\t" in header:
        return "\t"
    most = max(",;", key=header.count)
    return most if most in header else "\t"


def cells(line: str, separator: str) -> list[str]:
    r"""The cells of a line, without quotation marks around them and white space at their ends.

    In a table with tabs, a cell such as ``" No "`` with spaces inside both quotation marks is left
    as it is: there the marks are words of a sentence.

    Args:
        line: without its end.
        separator: one of `SEPARATORS`.

    Raises:
        CellError: a quotation mark isn't closed, or a cell is longer than `LONGEST_CELL`.

    Example:
        >>> cells('"The ""boy"" runs"\t2', "\t")
        ['The "boy" runs', '2']
        >>> cells('"Yes , sir",2', ",")
        ['Yes , sir', '2']
    """
    if separator == "\t":
        return [_unquoted(cell.strip()) for cell in line.split("\t")]
    if len(line) > LONGEST_CELL:
        raise CellError(f"expected at most {LONGEST_CELL} characters, found {len(line)}")
    try:
        (row,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error as fault:
        raise CellError(
            f"expected cells separated by {SEPARATORS[separator]}, found a quotation mark that "
            "isn't closed"
        ) from fault
    return [cell.strip() for cell in row]


def as_cell(text: str) -> str:
    """A cell for a table with tabs, which `cells` reads as the same text.

    Args:
        text: on one line, without tabs.

    Example:
        >>> as_cell("The boy"), as_cell("# 1"), cells(as_cell('"Yes"'), chr(9))
        ('The boy', '"# 1"', ['"Yes"'])
    """
    if text.startswith("#") or _unquoted(text) != text:
        return '"' + text.replace('"', '""') + '"'
    return text


def without_extra_cells(row: list[str], columns: int) -> list[str]:
    """A row without empty cells at its end, as far as they are more than the columns.

    Example:
        >>> without_extra_cells(["The boy", "2", "", ""], columns=3)
        ['The boy', '2', '']
    """
    end = len(row)
    while end > columns and not row[end - 1]:
        end -= 1
    return row[:end]


def column_name(cell: str) -> str:
    """The name of a column, with letters and their accents as one character each (NFC).

    Example:
        >>> len("fe" + chr(0x301)), len(column_name(" fe" + chr(0x301)))
        (3, 2)
    """
    return unicodedata.normalize("NFC", cell.strip())


def _unquoted(cell: str) -> str:
    """A cell without the quotation marks that pandas or Excel put around it."""
    if len(cell) < 3 or cell[0] != '"' or cell[-1] != '"':
        return cell
    inner = cell[1:-1]
    words = inner[0] == " " == inner[-1]
    if words or '"' in inner.replace('""', ""):
        return cell
    return inner.replace('""', '"').strip()
