"""A table goes in; its shape, its columns and its first rows come out, or one named reason why not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.processing.processors.table import samples
from uploads.processing.base import ProcessingError
from uploads.processing.processors.shared import duckdb
from uploads.processing.processors.table import processor, xlsx_bounds

CSV, TSV = "text/csv", "text/tab-separated-values"
Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(data: bytes | Path, content_type: str = CSV) -> dict[str, Any]:
        return samples.run(processor, data, content_type, tmp_path)

    return run


def columns(result: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    return [(one["name"], one["type"], one["min"], one["max"]) for one in result["fields"]]


def refusal(read: Read, data: bytes, content_type: str = CSV) -> ProcessingError:
    with pytest.raises(ProcessingError) as caught:
        read(data, content_type)
    return caught.value


# CSV and TSV: what is found


def test_a_csv_is_summed_up(read: Read) -> None:
    result = read(b"name,age\nAda,36\nGrace,\nAlan,41\n")

    assert (result["format"], result["rows"], result["columns"]) == ("csv", 3, 2)
    assert columns(result) == [("name", "text", "Ada", "Grace"), ("age", "integer", 36, 41)]
    assert [one["nulls"] for one in result["fields"]] == [0, 1]
    assert (result["encoding"], result["delimiter"], result["quote"], result["header"]) == (
        "utf-8",
        ",",
        '"',
        True,
    )
    assert result["preview"] == [["Ada", "36"], ["Grace", ""], ["Alan", "41"]]
    assert result["findings"] == []


def test_types_are_told_apart(read: Read) -> None:
    data = (
        b"day,at,when,yes,share,big\n2026-01-02,10:11:12,2026-01-02 03:04:05,true,0.5,99999999999999999999\n"
        b"2025-01-02,09:00:00,2026-01-01 00:00:00,false,1.25,1\n"
    )
    assert columns(read(data)) == [
        ("day", "date", "2025-01-02", "2026-01-02"),
        ("at", "time", "09:00:00", "10:11:12"),
        ("when", "datetime", "2026-01-01T00:00:00", "2026-01-02T03:04:05"),
        ("yes", "boolean", False, True),
        ("share", "number", 0.5, 1.25),
        ("big", "integer", 1, "99999999999999999999"),
    ]


def test_decimal_commas_and_dotted_dates_are_read_as_they_are_meant(read: Read) -> None:
    result = read(samples.GERMAN)

    assert (result["encoding"], result["delimiter"]) == ("windows-1252", ";")
    assert columns(result)[1:] == [
        ("Preis", "number", 1.5, 1234.75),
        ("Datum", "date", "2026-11-24", "2026-12-01"),
    ]
    assert result["fields"][1]["decimal_comma"] is True


@pytest.mark.parametrize(("late", "kind"), [(b"x", "text"), (b"1.5", "number")])
def test_one_late_value_changes_the_type_of_its_column(read: Read, late: bytes, kind: str) -> None:
    result = read(b"n\n" + b"1\n" * 30_000 + late + b"\n")
    assert (result["fields"][0]["type"], result["rows"]) == (kind, 30_001)


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16le"),
        ("utf-16-be", "utf-16be"),
        ("latin-1", "windows-1252"),
    ],
)
def test_other_encodings_are_found_and_read(read: Read, encoding: str, label: str) -> None:
    result = read("id,city\n1,Köln\n2,Århus\n".encode(encoding))
    assert (result["encoding"], result["preview"]) == (label, [["1", "Köln"], ["2", "Århus"]])
    assert columns(result) == [("id", "integer", 1, 2), ("city", "text", "Köln", "Århus")]


def test_czech_is_told_from_german_when_there_is_enough_of_it(read: Read) -> None:
    line = "Příliš žluťoučký kůň;úpěl ďábelské ódy\n"
    assert read(("věta;konec\n" + line * 2).encode("cp1250"))["preview"][0][0] == "Příliš žluťoučký kůň"


def test_cyrillic_is_not_taken_for_western(read: Read) -> None:
    result = read("имя;город\nИван;Москва\nПётр;Казань\n".encode("cp1251"))
    assert (result["encoding"], result["preview"][0]) == ("windows-1251", ["Иван", "Москва"])


def test_mixed_encodings_are_read_and_reported(read: Read) -> None:
    result = read(b"id,colour\n" + "1,grün\n".encode() * 5 + b"2,gr\xfcn\n")
    assert result["preview"][-1] == ["2", "grün"]
    assert result["findings"] == ["1 bytes are not UTF-8 (first on line 7); they were read as windows-1252."]


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", ","])
def test_the_delimiter_is_found(read: Read, delimiter: str) -> None:
    data = "\n".join(delimiter.join(one) for one in ("abc", "123", "456")).encode()
    result = read(data)
    assert (result["delimiter"], result["columns"], result["rows"]) == (delimiter, 3, 2)
    assert result["format"] == ("tsv" if delimiter == "\t" else "csv")


def test_a_table_without_header_keeps_its_first_row(read: Read) -> None:
    result = read(b"1,2\n3,4\n")
    assert (result["header"], result["rows"], result["fields"][0]["name"]) == (False, 2, "column 1")


def test_quoted_delimiters_line_ends_and_quotes_are_one_cell(read: Read) -> None:
    result = read(b'a,b\n"x, y","l1\nl2"\n"q""q",2\n')
    assert result["rows"] == 2
    assert [row[0] for row in result["preview"]] == ["x, y", 'q"q']


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_any_line_end_will_do(read: Read, end: bytes) -> None:
    assert read(end.join([b"a,b", b"1,2", b"3,4", b""]))["rows"] == 2


def test_duplicate_empty_and_huge_names_are_harmless(read: Read) -> None:
    result = read(b"a,a,," + b"n" * 5000 + b"\n1,2,3,4\n")
    names = [one["name"] for one in result["fields"]]
    assert names[:3] == ["a", "a", "column 3"]
    assert len(names[3]) == 120


def test_a_header_alone_is_a_table_of_no_rows(read: Read) -> None:
    result = read(b"a,b,c\n")
    assert (result["rows"], result["columns"], result["preview"]) == (0, 3, [])
    assert {one["type"] for one in result["fields"]} == {"empty"}


@pytest.mark.parametrize("data", [b"\n", b"  \n\n"])
def test_blank_lines_are_an_empty_table(read: Read, data: bytes) -> None:
    result = read(data)
    assert (result["rows"], result["columns"]) == (0, 0)


def test_infinities_and_nan_never_reach_json_as_numbers(read: Read) -> None:
    result = read(b"a,b\n1,nan\n2,inf\n3,2.5\n")
    assert (result["fields"][1]["type"], result["fields"][1]["max"]) == ("number", "nan")


# CSV: what is odd, and what is refused


def test_ragged_rows_are_counted_and_the_first_is_named(read: Read) -> None:
    result = read(b"a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert result["rows"] == 4
    assert result["findings"] == [
        "2 of 4 rows do not have 2 cells (first on line 3); they are left out of the summary of the columns."
    ]
    assert columns(result)[1] == ("b", "integer", 2, 8)


def test_nul_bytes_are_counted_and_replaced(read: Read) -> None:
    result = read(b"a,b\n1,x\0y\n2,3\n")
    assert result["findings"] == ["1 NUL bytes (first on line 2) were replaced."]
    assert "\0" not in str(result)


def test_a_quote_that_is_never_closed_is_named(read: Read) -> None:
    error = refusal(read, b'a,b\n1,2\n3,"4\n5,6\n')
    assert (error.code, "line 3" in error.message) == ("corrupt_file", True)


def test_quotes_in_the_middle_of_a_cell_are_forgiven(read: Read) -> None:
    result = read(b'a,b\n1,"2"3\n4,5\n')
    assert (result["rows"], len(result["findings"])) == (2, 1)


def test_one_line_of_a_hundred_megabytes_is_too_complex(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n")
        file.seek(100_000_000)
        file.write(b"\n")
    with pytest.raises(ProcessingError, match="Line 2 is longer than 2 MiB") as caught:
        read(path)
    assert caught.value.code == "too_complex"


def test_a_quote_open_over_megabytes_is_too_complex(read: Read) -> None:
    assert refusal(read, b'a,b\n1,"' + b"x,y\n" * 1_000_000).code == "too_complex"


def test_a_million_columns_are_too_complex(read: Read) -> None:
    error = refusal(read, b",".join([b"c"] * 1_000_000) + b"\n")
    assert (error.code, "1,000,000 columns" in error.message) == ("too_complex", True)


def test_columns_beyond_a_thousand_are_only_counted(read: Read) -> None:
    line = b",".join(str(one).encode() for one in range(1200)) + b"\n"
    result = read(b"c" + line.replace(b",", b",c") + line * 2)
    assert (result["columns"], len(result["fields"]), result["rows"]) == (1200, 1000, 2)
    assert result["fields"][999]["max"] == 999


# XLSX


def test_a_workbook_shows_its_first_sheet_that_is_not_empty(read: Read) -> None:
    result = read(samples.price_list(), samples.XLSX)
    assert (result["sheets"], result["sheet"]) == (["Notes", "Prices"], "Prices")
    assert (result["rows"], result["header"]) == (3, True)
    assert columns(result) == [("name", "text", "fig", "plum"), ("price", "number", 1.5, 4)]
    assert result["preview"] == [["pear", 1.5], ["plum", 2], ["fig", 4]]


def test_an_empty_workbook_says_so(read: Read) -> None:
    result = read(samples.workbook({"One": samples.sheet("")}), samples.XLSX)
    assert (result["rows"], result["findings"]) == (0, ["No sheet has a cell that is filled."])


def test_two_far_cells_are_refused_before_the_grid_is_built(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.processing.processors.table.xlsx.CalamineWorkbook", None)
    assert refusal(read, samples.two_far_cells(), samples.XLSX).code == "too_complex"


def test_cells_without_addresses_are_counted_too(read: Read) -> None:
    rows = f'<row r="1">{samples.cell("A1", 1)}</row><row r="1048576">' + "<c/>" * 16_384 + "</row>"
    assert refusal(read, samples.workbook({"Far": samples.sheet(rows)}), samples.XLSX).code == "too_complex"


def test_a_long_string_repeated_by_many_cells_is_too_complex(read: Read) -> None:
    row = "<row>" + '<c t="s"><v>0</v></c>' * 10_000 + "</row>"
    book = samples.workbook({"A": samples.sheet(row)}, f"<sst><si><t>{'x' * 32_000}</t></si></sst>")
    assert refusal(read, book, samples.XLSX).code == "too_complex"


def test_a_workbook_that_unpacks_to_hundreds_of_megabytes_is_too_complex(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_bounds, "MAX_XML", 1 << 20)
    book = samples.workbook({"A": samples.sheet(" " * (2 << 20))})
    assert refusal(read, book, samples.XLSX).code == "too_complex"


def test_a_part_that_lies_about_its_size_is_found_out(read: Read) -> None:
    book = samples.workbook({"A": samples.sheet(" " * 100_000)})
    honest = len(samples.sheet(" " * 100_000)).to_bytes(4, "little")
    assert book.count(honest) == 2  # once in the part's own header, once in the directory
    liar = book.replace(honest, (500).to_bytes(4, "little"))
    assert refusal(read, liar, samples.XLSX).code == "corrupt_file"


ENTITIES = [
    '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>',
    '<!DOCTYPE x [<!ENTITY c SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/evil.dtd">',
]


@pytest.mark.parametrize("doctype", ENTITIES)
def test_entities_in_a_sheet_end_as_corrupt_and_are_never_expanded(read: Read, doctype: str) -> None:
    book = samples.workbook({"A": samples.sheet(f'<row r="1">{samples.cell("A1", "&c;")}</row>', doctype)})
    error = refusal(read, book, samples.XLSX)
    assert (error.code, "document type" in error.message) == ("corrupt_file", True)
    assert "root:" not in error.detail


@pytest.mark.parametrize("doctype", ENTITIES)
def test_entities_in_shared_strings_end_as_corrupt(read: Read, doctype: str) -> None:
    book = samples.workbook({"A": samples.sheet("")}, f"{doctype}<sst><si><t>&c;</t></si></sst>")
    error = refusal(read, book, samples.XLSX)
    assert (error.code, "document type" in error.message) == ("corrupt_file", True)


def test_a_locked_workbook_asks_for_its_password(read: Read) -> None:
    locked = samples.locked_workbook()
    assert refusal(read, locked, "application/encrypted").code == "password_protected"
    assert refusal(read, locked, samples.XLSX).code == "password_protected"


@pytest.mark.parametrize("keep", [4, 200, 1000, -30])
def test_a_truncated_workbook_is_corrupt(read: Read, keep: int) -> None:
    assert refusal(read, samples.price_list()[:keep], samples.XLSX).code == "corrupt_file"


# Parquet


def test_a_parquet_file_is_summed_up(read: Read, tmp_path: Path) -> None:
    query = """SELECT i, i * 0.5::DOUBLE AS half, [i, 2] AS list, NULL::INTEGER AS nothing,
               1.25::DECIMAL(10,2) AS price,
               TIMESTAMP '2026-01-01' AS at, 'NaN'::DOUBLE AS strange FROM range(1000) AS r(i)"""
    result = read(samples.parquet(tmp_path, query), samples.PARQUET)
    assert (result["rows"], result["columns"], result["row_groups"]) == (1000, 7, 1)
    assert columns(result) == [
        ("i", "integer", 0, 999),
        ("half", "number", 0.0, 499.5),
        ("list", "nested", None, None),
        ("nothing", "empty", None, None),
        ("price", "number", 1.25, 1.25),
        ("at", "datetime", "2026-01-01T00:00:00", "2026-01-01T00:00:00"),
        ("strange", "number", "nan", "nan"),
    ]
    assert len(result["preview"]) == 20


def test_a_parquet_file_with_no_footer_is_corrupt(read: Read, tmp_path: Path) -> None:
    error = refusal(read, samples.parquet(tmp_path)[:-20], samples.PARQUET)
    assert (error.code, "footer" in error.message) == ("corrupt_file", True)


def test_an_encrypted_parquet_file_asks_for_its_password(read: Read, tmp_path: Path) -> None:
    data = samples.parquet(tmp_path)[:-4] + b"PARE"
    assert refusal(read, data, samples.PARQUET).code == "password_protected"


def test_a_parquet_file_that_claims_too_many_cells_is_too_complex(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.processing.processors.table.parquet.MAX_CELLS", 1999)
    assert refusal(read, samples.parquet(tmp_path), samples.PARQUET).code == "too_complex"


# The engine on its leash


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO 'out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH 'other.db'",
        "SET enable_external_access = true",
        "SET memory_limit = '10GB'",
    ],
)
def test_the_engine_reads_one_path_and_cannot_be_let_loose(tmp_path: Path, query: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    with duckdb.connection(str(path)) as database:
        assert database.execute(f"SELECT count(*) FROM read_csv('{path}')").fetchone() == (1,)
        with pytest.raises(duckdb.duckdb.Error):
            database.execute(query)


def test_our_own_mistake_is_never_blamed_on_the_file(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "literal", lambda value: "no literal")
    with pytest.raises(RuntimeError, match="locked down"):
        read(b"a,b\n1,2\n")


def test_transcoding_leaves_nothing_behind(read: Read, tmp_path: Path) -> None:
    read(samples.GERMAN)
    read("имя;город\nИван;Москва\n".encode("cp1251"))
    refusal(read, 'имя,b\n1,2\n3,"4\n'.encode("cp1251"))
    assert list((tmp_path / "artifacts").iterdir()) == []


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "utf-16-be", "utf-8"])
def test_a_file_transcoded_in_pieces_gives_the_same_figures(
    read: Read, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    word = "“Grün” œ" if encoding == "cp1252" else "Привет всем"
    rows = "".join(
        f'{one},{one}.5,"{word}, {one % 7}\nmore",2026-01-{one % 28 + 1:02}\n' for one in range(900)
    )
    data = ("id,half,word,day\n" + rows).encode(encoding)
    monkeypatch.setattr("uploads.processing.processors.table.readable.PIECE", 1 << 12)
    monkeypatch.setattr("uploads.processing.processors.shared.encoding.BLOCK", 1 << 12)

    result = read(data)

    assert (result["rows"], result["findings"]) == (900, [])
    assert columns(result) == [
        ("id", "integer", 0, 899),
        ("half", "number", 0.5, 899.5),
        ("word", "text", f"{word}, 0 more", f"{word}, 6 more"),
        ("day", "date", "2026-01-01", "2026-01-28"),
    ]
    assert ("distinct" in result["fields"][0]) == (encoding == "utf-8")


def test_a_large_csv_takes_bounded_memory(tmp_path: Path) -> None:
    """64 MiB of CSV in a process of its own: the peak stays where 1 GB stays too (about 210 MiB)."""
    path = tmp_path / "large.csv"
    row = b"".join(b"%d,name %d,%d.5,2026-01-02\n" % (one, one, one) for one in range(20_000))
    with path.open("wb") as file:
        file.write(b"id,name,price,day\n")
        for _ in range(100):
            file.write(row)
    result, peak = samples.run_apart(processor, path, CSV, tmp_path)
    assert result["rows"] == 2_000_000
    assert peak < 400


# Anything at all


def mutations(data: bytes, count: int, seed: int) -> list[bytes]:
    """`count` damaged copies: bytes flipped, a tail lost, a piece doubled. The same for the same seed."""
    chance = random.Random(seed)
    damaged = []
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(chance.randrange(1, 8)):
            copy[chance.randrange(len(copy))] = chance.randrange(256)
        if chance.random() < 0.3:
            del copy[chance.randrange(len(copy)) :]
        elif chance.random() < 0.3:
            at = chance.randrange(len(copy))
            copy[at:at] = copy[at : at + chance.randrange(200)]
        damaged.append(bytes(copy))
    return damaged


@pytest.mark.parametrize("kind", ["csv", "german", "utf-16", "xlsx", "parquet"])
def test_a_damaged_table_ends_in_a_result_or_a_named_error(read: Read, tmp_path: Path, kind: str) -> None:
    data, content_type = {
        "csv": (b'id,name,day\n1,"x, y",2026-01-02\n2,z,2026-01-03\n' * 5, CSV),
        "german": (samples.GERMAN * 3, CSV),
        "utf-16": ("a\tb\nü\t1\n".encode("utf-16") * 4, TSV),
        "xlsx": (samples.price_list(), samples.XLSX),
        "parquet": (samples.parquet(tmp_path), samples.PARQUET),
    }[kind]
    results = 0
    for damaged in mutations(data, 20, seed=7):
        try:
            results += bool(read(damaged, content_type))
        except ProcessingError as error:
            assert error.code in {"corrupt_file", "password_protected", "too_complex"}
    # A text survives most damage, a checksummed or compressed file hardly any.
    assert results > 0 or kind in {"xlsx", "parquet"}
