"""XML without surprises: no document type, no entities, errors with line and column."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from rsdet.errors import DataError


class _Forbidden(Exception):
    pass


def parse_xml(path: Path) -> ElementTree.Element:
    """Root element of a small XML file.

    A document type declaration is refused: entities in it can blow a file of a few bytes up to gigabytes or reach for
    other files, and annotation files have no use for one.

    Raises:
        DataError: Not XML, with line and column; or a document type declaration; or not readable.
    """
    parser = expat.ParserCreate()
    builder = ElementTree.TreeBuilder()

    def refuse(*_: object) -> None:
        raise _Forbidden

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.buffer_text = True
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except _Forbidden:
        line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        raise DataError(
            f"{path} line {line} column {column}: a DOCTYPE or ENTITY declaration is not accepted; expected plain "
            "Pascal VOC XML; remove the declaration"
        ) from None
    except expat.ExpatError as e:
        raise DataError(
            f"{path} line {e.lineno} column {e.offset + 1}: {expat.errors.messages.get(e.code, 'XML error')}; expected "
            "Pascal VOC XML; mend or remove the file"
        ) from e
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror or e}; expected a readable XML file") from e
    except (LookupError, ValueError) as e:  # an encoding that Python does not know
        raise DataError(f"{path}: {e}; expected XML in UTF-8; convert the file") from e
