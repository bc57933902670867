"""Uploaded files: the rows read from them, and the problems reported about the rest."""

from __future__ import annotations

import io

import pytest

from demo_project.csvfile import LONGEST_LINE, MOST_COLUMNS, Table, Unreadable


def table(content) -> Table:
    return Table(io.BytesIO(content.encode() if isinstance(content, str) else content))


def good(content) -> list[list[str]]:
    return [row.cells for row in table(content) if not row.problem]


def bad(content) -> list[tuple[int, str]]:
    return [(row.line, row.problem) for row in table(content) if row.problem]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~", ":", "\x01"])
def test_any_delimiter(delimiter):
    read = table(f"name{delimiter}city\nAda{delimiter}Cork\nBo{delimiter}Bonn\n")
    assert read.delimiter == delimiter
    assert [row.cells for row in read] == [["Ada", "Cork"], ["Bo", "Bonn"]]


def test_one_column_has_no_delimiter():
    read = table("name\nSmith, John\nKelly: Tom\n")
    assert (read.delimiter, read.columns) == ("", ["name"])
    assert [row.cells for row in read] == [["Smith, John"], ["Kelly: Tom"]]


def test_a_decimal_comma_is_no_delimiter():
    """csv.Sniffer alone would choose the comma, which it prefers, as each row has one."""
    assert good("Name;Sum\nA;1,50\nB;2,50\nC;3,75\n")[0] == ["A", "1,50"]


def test_a_quoted_header_may_hold_another_delimiter():
    assert table('"name";"city, country"\n"A";"Bonn, DE"\n').columns == ["name", "city, country"]


def test_excel_declares_the_delimiter():
    read = table("sep=;\r\nname;city\r\nAda;Cork\r\n")
    assert read.columns == ["name", "city"]
    assert [(row.line, row.cells) for row in read] == [(3, ["Ada", "Cork"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_end_of_line(end):
    assert good(end.join(["name,city", "Ada,Cork", "Bo,Bonn"])) == [["Ada", "Cork"], ["Bo", "Bonn"]]


def test_quotes():
    content = 'name,note\n"Smith, J","said ""hi"""\nB,"two\nlines"\nC, "x, y"\n'
    rows = [(row.line, row.cells) for row in table(content)]
    assert rows == [
        (2, ["Smith, J", 'said "hi"']),
        (3, ["B", "two\nlines"]),
        (5, ["C", "x, y"]),
    ]


def test_an_open_quotation_mark_costs_one_row():
    """The csv module would put the rest of the file into one field."""
    content = 'name,note\n"Smith,a\nJones,b\nBrown,"c, d"\nIvers,e\n'
    assert [line for line, _ in bad(content)] == [2]
    assert good(content) == [["Jones", "b"], ["Brown", "c, d"], ["Ivers", "e"]]


def test_an_open_quotation_mark_before_thousands_of_rows():
    content = 'name,note\nSmith,"a\n' + "Jones,b\n" * 5000
    assert len(good(content)) == 5000
    assert [line for line, _ in bad(content)] == [2]


def test_a_quotation_mark_that_the_next_line_seems_to_close():
    content = 'name,note\nSmith,"a\nJones,"b"\nBrown,c\n'
    assert [line for line, _ in bad(content)] == [2]
    assert good(content) == [["Jones", "b"], ["Brown", "c"]]


def test_quotation_marks_that_are_not_doubled():
    content = 'name,note\n"Miller "Bob" Ltd",x\nJones,b\n'
    assert bad(content) == [(2, "a quotation mark is not closed, or not doubled inside a field")]
    assert good(content) == [["Jones", "b"]]


def test_a_row_has_the_columns_of_the_header():
    content = "name,city\nAda\nBo,Bonn,x\nCy,Cork,,\n\n,,\nDi,Dresden\n"
    assert bad(content) == [
        (2, "the number of columns is 1, in the header it is 2"),
        (3, "the number of columns is 3, in the header it is 2"),
    ]
    assert good(content) == [["Cy", "Cork"], ["Di", "Dresden"]]


def test_a_nul_byte_costs_one_row():
    assert bad(b"name,city\nA\0da,Cork\nBo,Bonn\n") == [(2, "it contains a NUL byte")]


def test_a_field_over_the_limit_of_csv_costs_one_row():
    content = f"name,note\nAda,{'x' * 140_000}\nBo,y\n"
    assert bad(content) == [(2, "it has a field of more than 131,072 characters")]
    assert good(content) == [["Bo", "y"]]


def test_an_endless_line_costs_one_row():
    content = f"name,note\nAda,{'x,' * LONGEST_LINE}\nBo,y\n"
    assert bad(content) == [(2, "it has more than 1,048,576 characters")]
    assert good(content) == [["Bo", "y"]]


def test_columns_of_the_same_name_and_of_none():
    assert table("name,name,,\nA,B,C,D\n").columns == ["name", "name (2)", "column 3", "column 4"]
    assert table("a,a (2),a,a\n").columns == ["a", "a (2)", "a (3)", "a (4)"]


def test_many_columns_of_the_same_name():
    """Each name is looked up once, or 3,000 of them would keep the worker busy for hours."""
    assert table(",".join(["a"] * MOST_COLUMNS) + "\n").columns[-1] == f"a ({MOST_COLUMNS})"
    with pytest.raises(Unreadable, match="has 3,000 columns, but 500 are the most"):
        table(",".join(["a"] * 3000) + "\n")


@pytest.mark.parametrize(
    "line", ['"' * 48 * 1024, '",' * 24 * 1024, '"\n' * 24 * 1024, "'\"" * 9999]
)
def test_quotation_marks_alone_cost_no_time(line):
    """csv.Sniffer takes minutes for 48 KB of them."""
    read = table(f"name,city;street\nAda,Cork\n{line}\n")
    assert (read.delimiter, read.columns) == (",", ["name", "city;street"])
    assert next(read).cells == ["Ada", "Cork"]


def test_a_header_of_many_symbols_is_tried_with_some_of_them():
    symbols = "".join(map(chr, range(0x2200, 0x22F0)))
    assert table(f"name{symbols};city\nAda;Cork\n").delimiter == ";"


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("name,first;city\nAda;Cork\nBo;Bonn\n", ";"),
        ("name;a|b;c\nAda|Cork\nBo|Bonn\n", "|"),
        ("name;a,b\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_most_rows_share(content, delimiter):
    assert table(content).delimiter == delimiter


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"\n \n\r\n", "The file is empty."),
        (b"\xef\xbb\xbf", "The file is empty."),
        (b"Smith,smith@example.com\nJones,jones@example.com\n", "has no column names"),
        (b"1,2,3\n4,5,6\n", "has no column names"),
        (b'"name,city\nAda,Cork\n', "The first line cannot be read"),
        (b"PK\x03\x04" + bytes(100), "spreadsheet or a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a text file"),
    ],
)
def test_what_is_no_table(content, reason):
    with pytest.raises(Unreadable, match=reason):
        table(content)
