"""Whatever happens to the bytes of a file, there is a result or a named failure, never another exception."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.processing.processors import samples
from tests.processing.processors.archive import samples as made
from uploads.codes import FILES_OWN_FAULT
from uploads.processing.base import ProcessingError, Processor
from uploads.processing.processors import archive, image, pdf

VALID: dict[str, tuple[Processor, Callable[[], bytes]]] = {
    "png": (image, lambda: samples.image("PNG")),
    "palette-png": (image, lambda: samples.image("PNG", "P")),
    "jpeg-with-exif": (image, lambda: samples.photo()),
    "gif": (image, lambda: samples.animation("GIF")),
    "webp": (image, lambda: samples.animation("WEBP")),
    "bmp": (image, lambda: samples.image("BMP")),
    "tiff": (image, lambda: samples.image("TIFF")),
    "ico": (image, lambda: samples.image("ICO")),
    "avif": (image, lambda: samples.image("AVIF")),
    "jpeg-2000": (image, lambda: samples.image("JPEG2000")),
    "pdf": (pdf, lambda: samples.pdf()),
    "locked-pdf": (pdf, lambda: samples.pdf(user_password=b"")),
    "zip": (archive, lambda: made.zip_of()),
    "half-locked-zip": (archive, lambda: made.encrypted_zip(plain=2)),
    "nested-zip": (archive, lambda: made.nested_zip(2, made.zip_of())),
    "zip-with-link": (archive, lambda: made.zip_with_link("a", "../b")),
    "tar": (archive, lambda: made.tar_of({"x" * 300: b"long", **made.FILES})),
    "tar.gz": (archive, lambda: made.tar_of(compression="gz")),
    "tar.bz2": (archive, lambda: made.tar_of(compression="bz2")),
    "tar.xz": (archive, lambda: made.tar_of(compression="xz")),
}

NASTY = st.sampled_from(
    [b"", b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"%PDF", b"PK\x01\x02"]
)


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return `whole` cut, with bytes flipped, or with a piece replaced."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["cut", "flip", "replace"])):
            case "cut":
                del data[place:]
            case "flip" if data:
                data[place] ^= draw(st.integers(1, 255))
            case _:
                data[place : place + draw(st.integers(0, 8))] = draw(NASTY)
    return bytes(data)


@pytest.mark.parametrize("kind", VALID)
def test_a_mutated_file_gives_a_result_or_a_named_failure(kind: str) -> None:
    processor, make = VALID[kind]
    whole = make()

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(data=mutated(whole))
    def outcome_of(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            job = samples.context(Path(folder), "upload", "application/octet-stream", data)
            try:
                result = processor.process(job)
            except ProcessingError as error:
                assert error.code in FILES_OWN_FAULT
                assert error.message.isprintable() and error.message.endswith(".")
            else:
                json.dumps(result, allow_nan=False).encode()

    outcome_of()


@pytest.mark.parametrize("kind", VALID)
def test_the_unmutated_file_gives_a_result(tmp_path: Path, kind: str) -> None:
    processor, make = VALID[kind]
    assert processor.process(samples.context(tmp_path, "upload", "application/octet-stream", make()))
