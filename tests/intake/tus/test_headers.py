"""The headers of tus as text: what they say, and what is refused before it is looked at any further."""

from __future__ import annotations

import base64
import hashlib
from uuid import UUID

import pytest
from django.http.request import HttpHeaders
from hypothesis import given
from hypothesis import strategies as st

from uploads.codes import Refused
from uploads.intake.tus import headers
from uploads.intake.tus.headers import Body, Checksum, Creation, Patch

ONE, TWO = UUID(int=1), UUID(int=2)
OCTETS = {"Content-Type": "application/offset+octet-stream"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def http(given: dict[str, str]) -> HttpHeaders:
    """As Django gives them."""
    names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in given}
    names |= {"Content-Type": "CONTENT_TYPE", "Content-Length": "CONTENT_LENGTH"}
    return HttpHeaders({names[name]: value for name, value in given.items()})


def creation(**given: str) -> Creation:
    return headers.creation(http({name.replace("_", "-"): value for name, value in given.items()}))


def patch(**given: str) -> Patch:
    sent = {"Upload-Offset": "0"} | OCTETS | {name.replace("_", "-"): value for name, value in given.items()}
    return headers.patch(http(sent))


def refusal(read: object, **given: str) -> str:
    with pytest.raises(Refused) as refused:
        read(**given)  # type: ignore[operator]
    return refused.value.code


class TestCreation:
    def test_a_length_and_metadata_are_read(self) -> None:
        metadata = f"filename {b64('naïve.txt'.encode())},filetype {b64(b'text/plain')},flag"
        said = creation(Upload_Length="100", Upload_Metadata=metadata)
        assert said == Creation(100, metadata, "naïve.txt", "text/plain", False, (), None)

    def test_a_length_may_come_later(self) -> None:
        assert creation(Upload_Defer_Length="1").length is None

    @pytest.mark.parametrize(
        "length", ["", " ", "-1", "+1", "1.0", "0x10", "1e3", "1_000", "٣", "1,1", "9" * 19, "9" * 5_000]
    )
    def test_a_length_that_is_no_number_of_bytes_is_refused(self, length: str) -> None:
        assert refusal(creation, Upload_Length=length) == "invalid_request"

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"Upload_Defer_Length": "0"},
            {"Upload_Defer_Length": "true"},
            {"Upload_Defer_Length": "1", "Upload_Length": "1"},
            {"Upload_Defer_Length": "2", "Upload_Length": "1"},
        ],
    )
    def test_the_length_is_told_either_now_or_later(self, given: dict[str, str]) -> None:
        assert refusal(creation, **given) == "invalid_request"

    def test_first_bytes_may_come_along(self) -> None:
        said = creation(Upload_Length="10", Content_Length="4", Content_Type=OCTETS["Content-Type"])
        assert said.body == Body(4, None)

    def test_first_bytes_of_another_type_are_refused(self) -> None:
        assert refusal(creation, Upload_Length="10", Content_Length="4") == "unsupported_media"
        assert (
            refusal(creation, Upload_Length="10", Content_Length="4", Content_Type="text/plain")
            == "unsupported_media"
        )

    def test_more_first_bytes_than_the_upload_has_are_refused(self) -> None:
        many = {"Content_Length": "11", "Content_Type": OCTETS["Content-Type"]}
        assert refusal(creation, Upload_Length="10", **many) == "too_large"

    def test_compressed_bytes_are_refused(self) -> None:
        assert refusal(creation, Upload_Length="10", Content_Encoding="gzip") == "unsupported_encoding"


class TestConcatenation:
    def test_a_part_says_so(self) -> None:
        assert creation(Upload_Length="1", Upload_Concat="partial").partial

    @pytest.mark.parametrize(
        "root", ["/api/tus/", "https://example.org/api/tus/", "/below/api/tus/", "api/tus/"]
    )
    def test_the_whole_names_its_parts_in_order(self, root: str) -> None:
        said = creation(Upload_Concat=f"final;{root}{TWO} {root}{ONE}")
        assert (said.parts, said.length, said.partial) == ((TWO, ONE), None, False)

    @pytest.mark.parametrize("concat", ["", "final", "final;", "final; ", "partial;", "Partial", "whole;/x"])
    def test_what_is_neither_part_nor_whole_is_refused(self, concat: str) -> None:
        assert refusal(creation, Upload_Length="1", Upload_Concat=concat) == "invalid_request"

    @pytest.mark.parametrize(
        "address", ["x", f"/other/{ONE}", "/api/tus/1", "/api/tus/../../etc/passwd", f"/api/tus/{ONE}/x"]
    )
    def test_a_part_elsewhere_is_not_found(self, address: str) -> None:
        assert refusal(creation, Upload_Concat=f"final;{address}") == "not_found"

    def test_the_whole_has_no_length_no_bytes_and_no_part_twice(self) -> None:
        final = {"Upload_Concat": f"final;/api/tus/{ONE}"}
        assert refusal(creation, Upload_Length="1", **final) == "invalid_request"
        assert refusal(creation, Upload_Defer_Length="1", **final) == "invalid_request"
        body = {"Content_Length": "1", "Content_Type": OCTETS["Content-Type"]}
        assert refusal(creation, **final, **body) == "invalid_request"
        twice = f"final;/api/tus/{ONE} /api/tus/{ONE}"
        assert refusal(creation, Upload_Concat=twice) == "invalid_request"

    def test_parts_are_bounded(self) -> None:
        many = " ".join(f"/api/tus/{UUID(int=n)}" for n in range(headers.MOST_PARTS + 1))
        assert refusal(creation, Upload_Concat=f"final;{many}") == "invalid_request"


class TestMetadata:
    def test_keys_alone_values_and_spaces_around_pairs(self) -> None:
        said = headers.read_metadata(f"a {b64(b'1')}, b,c {b64(bytes(range(256)))}")
        assert said == {"a": b"1", "b": b"", "c": bytes(range(256))}
        assert headers.read_metadata("") == {}

    @pytest.mark.parametrize(
        "header",
        [
            "a !!!!", "a YQ", "a YQ===", "a Y Q==", "a YQ==,", ",", ",a YQ==", "a YQ==,,b YQ==",
            "é YQ==", "a é", "a YQ==,a Yg==", "a,a", "a\x00 YQ==", "a\x7f YQ==", "a \x00",
        ],
    )  # fmt: skip
    def test_what_is_not_well_formed_is_refused(self, header: str) -> None:
        assert refusal(creation, Upload_Length="1", Upload_Metadata=header) == "invalid_request"

    def test_a_hundred_thousand_characters_are_refused(self) -> None:
        long = f"filename {b64(bytes(75_000))}"
        assert refusal(creation, Upload_Length="1", Upload_Metadata=long) == "invalid_request"

    def test_a_name_that_is_not_utf8_is_still_a_name(self) -> None:
        said = creation(Upload_Length="1", Upload_Metadata=f"filename {b64(bytes([0xFF, 0x61]))}")
        assert said.filename == "\ufffda"

    @pytest.mark.parametrize(
        "kind", ["x", "text/plain\r\nX: y", "a/b/c", "text/\x00", "<b>/x", "é/é", "", "a" * 70 + "/b"]
    )
    def test_a_type_that_is_none_is_left_out(self, kind: str) -> None:
        said = creation(Upload_Length="1", Upload_Metadata=f"filetype {b64(kind.encode())}")
        assert said.content_type == ""

    def test_a_type_loses_its_parameters(self) -> None:
        said = creation(Upload_Length="1", Upload_Metadata=f"type {b64(b'Text/HTML; charset=x')}")
        assert said.content_type == "text/html"

    @given(st.text(max_size=200))
    def test_any_text_is_read_or_refused(self, header: str) -> None:
        try:
            assert all(isinstance(value, bytes) for value in headers.read_metadata(header).values())
        except Refused as refused:
            assert refused.code == "invalid_request"

    @given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.binary(max_size=50), max_size=9))
    def test_what_a_client_writes_comes_back(self, pairs: dict[str, bytes]) -> None:
        header = ",".join(f"{key} {b64(value)}" for key, value in pairs.items())
        assert headers.read_metadata(header) == pairs


class TestPatch:
    def test_an_offset_and_a_body(self) -> None:
        assert patch(Upload_Offset="7", Content_Length="3") == Patch(7, None, Body(3, None))

    def test_a_length_told_late(self) -> None:
        assert patch(Upload_Length="10").length == 10

    def test_no_bytes_and_chunked_ones(self) -> None:
        assert patch(Content_Length="0").body.empty
        assert patch().body.empty
        assert patch(Transfer_Encoding="chunked").body.length is None
        assert patch(Transfer_Encoding="chunked", Content_Length="5").body.length is None

    @pytest.mark.parametrize("offset", ["", "-1", "a", "1,1", "0x1", " ", "1 1", "٣", "9" * 40])
    def test_an_offset_that_is_no_number_of_bytes_is_refused(self, offset: str) -> None:
        assert refusal(patch, Upload_Offset=offset) == "invalid_request"

    def test_an_offset_is_needed(self) -> None:
        with pytest.raises(Refused) as refused:
            headers.patch(http(OCTETS))
        assert refused.value.code == "invalid_request"

    @pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "application/offset"])
    def test_another_type_is_refused(self, kind: str) -> None:
        assert refusal(patch, Content_Type=kind) == "unsupported_media"

    def test_a_type_may_have_parameters_and_any_case(self) -> None:
        assert patch(Content_Type="Application/Offset+Octet-Stream; x=y").offset == 0

    def test_compressed_bytes_are_refused(self) -> None:
        assert refusal(patch, Content_Encoding="gzip", Content_Length="3") == "unsupported_encoding"


class TestChecksum:
    @pytest.mark.parametrize("name", ["sha256", "sha1", "md5"])
    def test_three_algorithms_are_known(self, name: str) -> None:
        digest = hashlib.new(name, b"x", usedforsecurity=False).digest()
        said = patch(Upload_Checksum=f"{name} {b64(digest)}", Content_Length="1")
        assert said.body.checksum == Checksum(name, digest)

    @pytest.mark.parametrize(
        "checksum",
        ["", "sha256", "sha256 ", "sha256 !!", "sha256 YQ==", f"sha512 {b64(bytes(64))}", "crc32 YWFhYQ==",
         f"SHA256 {b64(bytes(32))}", f"md5 {b64(bytes(20))}", f"sha1 {b64(bytes(20))}x", "sha1 é"],
    )  # fmt: skip
    def test_any_other_is_refused(self, checksum: str) -> None:
        assert refusal(patch, Upload_Checksum=checksum, Content_Length="1") == "invalid_request"


@pytest.mark.parametrize("version", [None, "", "0.2.2", "1.0", "1.0.0, 1.0.0", "2.0.0", "1.0.0x"])
def test_another_version_of_the_protocol_is_refused(version: str | None) -> None:
    given = {} if version is None else {"Tus-Resumable": version}
    with pytest.raises(Refused) as refused:
        headers.check_version(http(given))
    assert refused.value.status == 412
