"""
Read a CSV file of unknown make, line by line: any encoding, any delimiter, bad rows and all.

    table = Table(binary_file)
    table.encoding, table.delimiter, table.columns
    for row in table:
        row.line, row.cells, row.problem        # a row with a problem has no cells

Nothing here knows Django. A file that is no table at all raises Unreadable.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from dataclasses import dataclass, field

from . import charset

SAMPLE = 16 * 1024  # characters that are looked at to find the delimiter
MOST_CANDIDATES = 10  # delimiters that are tried, each on the whole sample
MOST_COLUMNS = 500
LONGEST_LINE = 1024 * 1024  # characters
LONGEST_RECORD = 100  # lines: a quotation mark that is open for longer was never meant to be
CONTROLS = {chr(code) for code in range(32)} - set("\0\t\n\v\f\r\x1a")
REPLACED = "\N{REPLACEMENT CHARACTER}"
USUAL_DELIMITERS = ",;\t|"
NEVER_DELIMITERS = " \"'`_-./\\()[]@&%+#*?!€$£\0" + REPLACED


class Unreadable(Exception):
    """The file is no table. The text is for the user."""


@dataclass
class Row:
    line: int
    cells: list[str] = field(default_factory=list)
    problem: str = ""


class Table:
    def __init__(self, file):
        self.encoding = charset.guess(file)
        file.seek(0)
        text = io.TextIOWrapper(file, self.encoding, errors="replace", newline="")
        sample = text.read(SAMPLE)
        refuse_binary(sample)
        self.delimiter, is_declared = find_delimiter(sample)
        text.seek(0)
        self.lines = Lines(text)
        if is_declared:
            next(self.lines)
        self.reader = csv.reader(
            self.lines, delimiter=self.delimiter or "\x1f", skipinitialspace=True, strict=True
        )
        self.columns = self.read_columns()
        # After the columns are known: every row is measured against them.
        self.width = len(self.columns)

    def read_columns(self):
        self.width = None
        header = next(self, None)
        if header is None:
            raise Unreadable("The file is empty.")
        if header.problem:
            raise Unreadable(f"The first line cannot be read: {header.problem}.")
        if looks_like_data(header.cells):
            raise Unreadable(
                "The first line has no column names: it looks like a row of data. "
                "Add a line such as “name,email” above it."
            )
        if len(header.cells) > MOST_COLUMNS:
            raise Unreadable(
                f"The file has {len(header.cells):,} columns, but {MOST_COLUMNS} are the most."
            )
        return unique(header.cells)

    def __iter__(self):
        return self

    def __next__(self) -> Row:
        while True:
            self.lines.begin_record()
            line = self.lines.number + 1
            try:
                cells = [cell.strip() for cell in next(self.reader)]
                problem = self.problem_of(cells)
            except csv.Error as error:
                cells, problem = [], explain(error)
            if problem:
                # A quotation mark too many has swallowed the lines that follow: read them again.
                self.lines.give_back()
                return Row(line, problem=problem)
            if any(cells):
                return Row(line, cells[: self.width])

    def problem_of(self, cells) -> str:
        if any("\0" in cell for cell in cells):
            return "it contains a NUL byte"
        if any(REPLACED in cell for cell in cells):
            return f"it contains bytes that are not {self.encoding}"
        if self.width is None or not any(cells):
            return ""
        if len(cells) < self.width or any(cells[self.width :]):
            return f"the number of columns is {len(cells)}, in the header it is {self.width}"
        return ""


class Lines:
    """The lines of a file, with a way to give back those that a broken record has swallowed."""

    def __init__(self, text):
        self.text = text
        self.number = 0
        self.record = []
        self.given_back = deque()

    def __iter__(self):
        return self

    def __next__(self) -> str:
        if len(self.record) == LONGEST_RECORD:
            raise csv.Error("the record is too long")
        line = self.given_back.popleft() if self.given_back else self.text.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        self.record.append(line)
        if len(line) == LONGEST_LINE:
            self.skip_rest_of_line(line)
            raise csv.Error("the line is too long")
        return line

    def skip_rest_of_line(self, part):
        while part and not part.endswith(("\n", "\r")):
            part = self.text.readline(LONGEST_LINE)

    def begin_record(self):
        self.record = []

    def give_back(self):
        """Give back every line of the record but the first."""
        swallowed = self.record[1:]
        self.given_back.extendleft(reversed(swallowed))
        self.number -= len(swallowed)


def refuse_binary(sample: str) -> None:
    """A text may have some stray control characters, a program or a picture has all of them."""
    if sample.startswith("PK\x03\x04"):
        raise Unreadable("This is a spreadsheet or a ZIP archive. Save it as CSV and try again.")
    if len(set(sample) & CONTROLS) > 5:
        raise Unreadable("This is not a text file.")


def find_delimiter(sample: str) -> tuple[str, bool]:
    """Return the delimiter, and whether the first line is Excel's `sep=;` that declares it.

    A file with one column has none.
    """
    lines = sample.lstrip("\r\n ").splitlines()
    header = lines[0] if lines else ""
    if declared := re.fullmatch(r"sep=(.)", header, re.IGNORECASE):
        return declared[1], True
    # Only what the header holds: else the comma of "1,50" could be taken.
    found = [char for char in dict.fromkeys(header) if could_delimit(char)]
    usual = [char for char in USUAL_DELIMITERS if char in found]
    candidates = [*usual, *(char for char in found if char not in usual)][:MOST_CANDIDATES]
    whole = lines[:-1] or lines  # the sample may end inside a line
    # The first of the best. csv.Sniffer is not used, as it takes minutes for some KB of quotation marks.
    return max(candidates, key=lambda char: count_alike(whole, char), default=""), False


def count_alike(lines, delimiter) -> int:
    """Count the rows that have as many columns as the first, if that has several."""
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    widths = []
    while True:
        try:
            widths.append(len(next(reader)))
        except csv.Error:
            widths.append(0)
        except StopIteration:
            break
    return widths.count(widths[0]) if widths[0] > 1 else 0


def could_delimit(char: str) -> bool:
    return char in USUAL_DELIMITERS or not (char.isalnum() or char in NEVER_DELIMITERS)


def looks_like_data(cells) -> bool:
    """Column names have letters, and none of them is an e-mail address."""
    named = any(char.isalpha() for cell in cells for char in cell)
    return not named or any(re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", cell) for cell in cells)


def unique(names) -> list[str]:
    """Name the columns without a name, and tell those of the same name apart."""
    result = {}
    copies = Counter()
    for number, name in enumerate(names, 1):
        base = name = name or f"column {number}"
        while name in result:
            copies[base] += 1
            name = f"{base} ({copies[base] + 1})"
        result[name] = number
    return list(result)


def explain(error: csv.Error) -> str:
    """Say what the csv module means."""
    if "field larger" in str(error):
        return f"it has a field of more than {csv.field_size_limit():,} characters"
    if "line is too long" in str(error):
        return f"it has more than {LONGEST_LINE:,} characters"
    return "a quotation mark is not closed, or not doubled inside a field"
