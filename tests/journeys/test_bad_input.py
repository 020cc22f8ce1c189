"""Bad input through the real door: each ends in a named state with a named code; no worker stops, nothing is lost."""

from __future__ import annotations

import contextlib
import gzip
import io
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Wharf, start_wharf, wait_for
from tests.processing.processors import samples
from tests.processing.processors.archive import samples as archives
from tests.processing.processors.table import samples as tables

pytestmark = pytest.mark.journey

MIB = 1 << 20
OK = "succeeded"
XXE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def hostile_workbook(doctype: str, entity: str) -> bytes:
    """A workbook whose sheet begins with a document type and uses its entity."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(tables.price_list())) as whole,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for name in whole.namelist():
            data = whole.read(name).decode()
            if "worksheets/" in name and name.endswith(".xml"):
                start = data.index("<worksheet")
                data = data[:start] + doctype + data[start:].replace("</sheetData>", f"{entity}</sheetData>")
            made.writestr(name, data)
    return out.getvalue()


def traversal() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, kind, target in (
            ("../../etc/cron.d/x", tarfile.REGTYPE, ""),
            ("/abs", tarfile.REGTYPE, ""),
            ("link", tarfile.SYMTYPE, "/etc/shadow"),
        ):
            packed.addfile(archives.tar_member(name, kind, target))
    return out.getvalue()


# What is sent, and how it must end: "succeeded", or the codes of which one must be the job's.
NATURAL: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.dat": (lambda: b"", OK),
    "cut.png": (lambda: half(samples.image("PNG")), "corrupt_file"),
    "cut.jpg": (lambda: half(samples.image("JPEG")), "corrupt_file"),
    "cut.pdf": (lambda: half(samples.pdf()), "corrupt_file"),
    "cut.xlsx": (lambda: half(tables.price_list()), "corrupt_file"),
    "cut.zip": (lambda: half(archives.zip_of({"a": b"a" * 9_000, "b": b"b"})), "corrupt_file"),
    "cut.gz": (lambda: half(gzip.compress(bytes(range(256)) * 999)), "corrupt_file"),
    "bomb.png": (samples.pixel_bomb, "too_complex"),
    "locked.pdf": (lambda: samples.pdf(user_password=b"secret"), "password_protected"),
    "locked.xlsx": (tables.locked_workbook, "password_protected"),
    "locked.zip": (archives.encrypted_zip, "password_protected"),
    "bomb.zip": (archives.zip_bomb, "too_complex"),
    "overlap.zip": (archives.overlapped_zip, "too_complex"),
    "traversal.tar": (traversal, OK),
    "link.zip": (lambda: archives.zip_with_link("../link", "/etc/passwd"), OK),
    "xxe.xlsx": (lambda: hostile_workbook(XXE, "&e;"), f"{OK} corrupt_file"),
    "laughs.xlsx": (lambda: hostile_workbook(LAUGHS + "]>", "&j;"), f"{OK} corrupt_file"),
    "far.xlsx": (tables.two_far_cells, "too_complex"),
    "xxe.svg": (lambda: f'{XXE}<svg xmlns="http://www.w3.org/2000/svg">&e;</svg>'.encode(), OK),
    "laughs.svg": (lambda: f'{LAUGHS}]><svg xmlns="http://www.w3.org/2000/svg">&j;</svg>'.encode(), OK),
    "nul.csv": (lambda: b"a,b\n1,\x00\n\x00,2\n" * 50, OK),
    "long-line.csv": (lambda: b"a,b\n1," + b"x" * 100 * MIB + b"\n", f"{OK} too_complex corrupt_file"),
    "mixed.csv": (lambda: "a,b\ngrün,1\n".encode() * 50 + "a,b\ngrün,1\n".encode("latin-1") * 50, OK),
    "ragged.csv": (lambda: b"a,b,c\n1,2,3\n4\n5,6,7,8\n" * 20, OK),
    "wide.csv": (lambda: b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n", "too_complex"),
    "page.png": (lambda: b"<!doctype html><title>no picture</title><p>at all</p>", OK),
    "eicar.txt": (lambda: EICAR, OK),
    "liar.zip": (archives.lying_zip, "corrupt_file too_complex"),
    "quine.zip": (lambda: archives.nested_zip(9, b"core"), f"{OK} too_complex"),
}


@pytest.fixture(scope="module")
def natural(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Wharf, dict[str, str]]]:
    """An instance that was sent everything at once."""
    wharf = start_wharf(tmp_path_factory.mktemp("natural"))
    yield wharf, {name: wharf.put(name, make())["id"] for name, (make, _end) in NATURAL.items()}
    assert wharf.stop() == 0, wharf.log.read_text()[-5000:]


@pytest.mark.parametrize("name", NATURAL)
def test_a_bad_file_ends_with_a_name(natural: tuple[Wharf, dict[str, str]], name: str) -> None:
    wharf, jobs = natural
    job = wharf.finished(jobs[name], 120)
    ends = NATURAL[name][1].split()
    got = job["error"]["code"] if job["error"] else job["state"]
    assert got in ends, job
    if job["error"]:
        assert job["attempt"] == 1, "the file's own fault is tried once"
        assert job["error"]["message"].strip() and job["error"]["advice"].strip()
    assert "root:" not in str(job), "no entity of an XML file was resolved"


def test_a_contradiction_between_name_and_content_is_told(natural: tuple[Wharf, dict[str, str]]) -> None:
    wharf, jobs = natural
    job = wharf.finished(jobs["page.png"])
    assert job["content_type"] == "text/html" and "page.png" in job["note"]


def test_traversal_and_links_are_reported_and_nothing_is_extracted(
    natural: tuple[Wharf, dict[str, str]],
) -> None:
    wharf, jobs = natural
    kinds = {finding["kind"] for finding in wharf.finished(jobs["traversal.tar"])["result"]["findings"]}
    assert len(kinds) >= 3, kinds
    assert not [path for path in wharf.data_dir.rglob("*") if path.name in ("x", "abs", "link")]


def test_no_worker_was_stopped_by_any_of_it(natural: tuple[Wharf, dict[str, str]]) -> None:
    wharf, jobs = natural
    for job in jobs.values():
        wharf.finished(job, 120)
    with contextlib.closing(sqlite3.connect(wharf.data_dir / "wharfinger.sqlite3")) as database:
        workers = database.execute("SELECT DISTINCT pid FROM uploads_attempt").fetchall()
        codes = {row[0] for row in database.execute("SELECT DISTINCT code FROM uploads_errorrecord")}
        attempts = database.execute("SELECT count(*) FROM uploads_attempt WHERE outcome = ''").fetchone()[0]
        records, failed = database.execute(
            "SELECT (SELECT count(*) FROM uploads_errorrecord),"
            " (SELECT count(*) FROM uploads_attempt WHERE outcome = 'failed')"
        ).fetchone()
    assert len(workers) <= 8 and "worker_lost" not in codes and "internal_error" not in codes
    assert attempts == 0 and records == failed, "every failed attempt has its one record"


HOSTILE: dict[str, str] = {
    "allocate": "out_of_memory",
    "allocate_at_once": "out_of_memory",
    "loop": "timed_out",
    "sleep": "timed_out",
    "c_call": "timed_out",
    "fork_bomb": "processor_crashed too_complex out_of_memory timed_out",
    "segfault": "processor_crashed",
    "abort": "processor_crashed",
    "exit": "processor_crashed",
    "exit_at_once": "processor_crashed",
    "write_one": "too_complex",
    "print": f"{OK} too_complex",  # what is printed counts as output
    "bug": "internal_error",
    "daemon": OK,
    "forge_garbage": "processor_crashed internal_error",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Wharf, dict[str, str]]]:
    """An instance with a processor that does what a text says, short limits, and one attempt a failure."""
    once = ", ".join(
        f'"{code}": {{"budget": 1}}'
        for code in ("out_of_memory", "timed_out", "processor_crashed", "internal_error")
    )
    wharf = start_wharf(
        tmp_path_factory.mktemp("hostile"),
        UPLOADS_PROCESSORS="hostile=tests.processing.sandbox.hostile",
        UPLOADS_LIMITS='{"hostile": {"cpu_seconds": 2, "wall_seconds": 4}}',
        UPLOADS_BUDGETS="{" + once + "}",
    )
    yield wharf, {name: wharf.put(f"{name}.txt", name.encode())["id"] for name in HOSTILE}
    assert wharf.stop() == 0, wharf.log.read_text()[-5000:]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_processor_ends_with_a_name(hostile: tuple[Wharf, dict[str, str]], name: str) -> None:
    wharf, jobs = hostile
    job = wharf.finished(jobs[name], 120)
    got = job["error"]["code"] if job["error"] else job["state"]
    assert got in HOSTILE[name].split(), job


def test_the_workers_outlive_hostile_processors(hostile: tuple[Wharf, dict[str, str]]) -> None:
    wharf, jobs = hostile
    for job in jobs.values():
        wharf.finished(job, 120)
    assert wharf.finished(wharf.put("after.txt", b"nothing")["id"])["state"] == OK
    with contextlib.closing(sqlite3.connect(wharf.data_dir / "wharfinger.sqlite3")) as database:
        codes = {row[0] for row in database.execute("SELECT DISTINCT code FROM uploads_errorrecord")}
    assert "worker_lost" not in codes


def test_a_database_locked_for_three_seconds_delays_and_loses_nothing(
    own_wharf: Callable[..., Wharf],
) -> None:
    wharf = own_wharf()
    database = sqlite3.connect(wharf.data_dir / "wharfinger.sqlite3", isolation_level=None)
    first = [wharf.put(f"{n}.txt", b"before\n")["id"] for n in range(5)]
    database.execute("BEGIN IMMEDIATE")
    locked = time.monotonic()
    import threading

    sent: list[str] = []
    sender = threading.Thread(target=lambda: sent.append(wharf.put("during.txt", b"during\n")["id"]))
    sender.start()
    wait_for(lambda: time.monotonic() - locked > 3, 5, "three seconds of a lock")
    database.execute("ROLLBACK")
    database.close()
    sender.join(30)
    assert len(sent) == 1
    assert [wharf.finished(job)["state"] for job in first + sent] == [OK] * 6


def test_a_file_deleted_between_upload_and_work_is_named(own_wharf: Callable[..., Wharf]) -> None:
    wharf = own_wharf(UPLOADS_PROCESSORS="hostile=tests.processing.sandbox.hostile", WORKERS="1")
    blocker = wharf.put("blocker.txt", b"progress\n1")
    gone = wharf.put("gone.txt", b"nothing")
    kept: Path = next((wharf.data_dir / "files").rglob(gone["id"]))
    kept.unlink()
    assert wharf.finished(blocker["id"])["state"] == OK
    job = wharf.finished(gone["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "file_missing")
