"""Text for the cells of CSV files that spreadsheets open."""

from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> Any:
    """The value; a text that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> safe_cell("=1+1"), safe_cell("-2.5"), safe_cell(-2.5), safe_cell("cat")
    ("'=1+1", '-2.5', -2.5, 'cat')
    """
    if not isinstance(value, str) or not value.startswith(FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
