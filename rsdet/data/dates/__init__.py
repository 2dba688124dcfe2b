"""Two dates of one place and what has changed between them: found, matched, checked and read."""

from __future__ import annotations

from rsdet.data.dates.check import check_pairs, read_dates
from rsdet.data.dates.labels import LabelReader, read_label
from rsdet.data.dates.pairs import DatePair, date_pairs, match_dates, read_pair, read_pair_and_gaps

__all__ = [
    "DatePair", "LabelReader", "check_pairs", "date_pairs", "match_dates", "read_dates", "read_label", "read_pair",
    "read_pair_and_gaps",
]  # fmt: skip
