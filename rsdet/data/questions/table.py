"""Tables: a head that names the columns ``image``, ``question``, ``answer`` and ``type``, then a question a line.

Columns stand between commas, semicolons or tabs, in any order; further ones are passed over.
"""

from __future__ import annotations

import csv
import io

from rsdet.data.questions.rows import Rows
from rsdet.errors import DataError

_NEEDED = ("image", "question")
csv.field_size_limit(1 << 24)  # a text of 10,000 words is refused for what it is


def read(rows: Rows, text: str) -> None:
    """Take the rows of a file.

    Raises:
        DataError: No column of questions or of images, or quotes that do not close.
    """
    head = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    lines = csv.reader(io.StringIO(text.lstrip(), newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().casefold() for name in next(lines, [])]
        if missing := [name for name in _NEEDED if name not in names]:
            raise DataError(
                f"{rows.path} has no column {missing[0]}, its columns are {', '.join(map(repr, names[:8])) or 'none'}; "
                "expected a first line such as image,question,answer,type."
            )
        for cells in lines:
            if any(cell.strip() for cell in cells):
                row = dict(zip(names, cells, strict=False))
                where = f"line {lines.line_num}"
                rows.add(where, row.get("image"), row.get("question"), row.get("answer"), row.get("type"))
    except csv.Error as e:
        raise DataError(f"{rows.path} is no table (line {lines.line_num}: {e}); mend its quotes.") from e
