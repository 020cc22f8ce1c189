"""A client that is still sending sees why it was turned away."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.intake.server.served import Served, all_of, put
from uploads.intake.server.lingering_close import PIECE, Draining

MIB = 1 << 20


class Body(io.BytesIO):
    """A request's body that remembers how much of it was read."""

    @property
    def taken(self) -> int:
        return self.tell()


class Client:
    """One request through Draining, and what came of it."""

    def __init__(self, body: Body, **environ: str) -> None:
        self.body = body
        self.environ: dict[str, Any] = {"wsgi.input": body, **environ}
        self.status = ""
        self.headers: dict[str, str] = {}

    def start(self, status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        self.status, self.headers = status, dict(headers)

    def ask(self, view: Any, **bounds: Any) -> Iterable[bytes]:
        return Draining(view, **{"max_bytes": 8 * MIB, **bounds})(self.environ, self.start)


def client(size: int, **environ: str) -> Client:
    return Client(Body(b"x" * size), CONTENT_LENGTH=str(size), **environ)


def refuse(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("413 Content Too Large", [("Content-Type", "text/plain"), ("Connection", "keep-alive")])
    return [b"too ", b"large"]


def read_first(amount: int) -> Any:
    def view(environ: dict[str, Any], start: Any) -> list[bytes]:
        environ["wsgi.input"].read(amount)
        return refuse(environ, start)

    return view


def test_the_answer_goes_out_first_and_the_body_is_drained_after_it() -> None:
    one = client(MIB)
    answer = iter(one.ask(refuse))
    assert [next(answer), next(answer)] == [b"too ", b"large"]
    assert one.body.taken == 0
    assert list(answer) == []
    assert one.body.taken == MIB


def test_the_connection_is_closed_after_an_early_answer() -> None:
    one = client(MIB)
    one.ask(refuse)
    list(one.ask(refuse))
    assert one.status == "413 Content Too Large"
    assert one.headers == {"Content-Type": "text/plain", "Connection": "close"}


def test_who_waits_for_leave_to_send_is_not_read_at_all() -> None:
    one = client(MIB, HTTP_EXPECT="100-Continue")
    assert list(one.ask(refuse)) == [b"too ", b"large"]
    assert one.body.taken == 0
    assert one.headers["Connection"] == "close"


def test_who_was_given_leave_to_send_is_drained() -> None:
    one = client(MIB, HTTP_EXPECT="100-continue")
    list(one.ask(read_first(1000)))
    assert one.body.taken == MIB


@pytest.mark.parametrize("amount", [MIB, -1])
def test_a_body_that_the_view_has_read_leaves_the_answer_as_it_is(amount: int) -> None:
    one = client(MIB)
    assert list(one.ask(read_first(amount))) == [b"too ", b"large"]
    assert one.headers["Connection"] == "keep-alive"


def test_a_body_read_line_by_line_counts_as_read() -> None:
    def view(environ: dict[str, Any], start: Any) -> list[bytes]:
        assert list(environ["wsgi.input"]) == [b"a\n", b"b"]
        return refuse(environ, start)

    one = Client(Body(b"a\nb"), CONTENT_LENGTH="3")
    one.ask(view)
    assert one.headers["Connection"] == "keep-alive"


def test_a_request_without_a_body_is_not_touched() -> None:
    one = Client(Body(b""))
    seen: list[object] = []

    def view(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(environ["wsgi.input"])
        return refuse(environ, start)

    one.ask(view)
    assert seen == [one.body]
    assert one.headers["Connection"] == "keep-alive"


def test_a_chunked_body_is_drained_to_its_end() -> None:
    one = Client(Body(b"x" * MIB), HTTP_TRANSFER_ENCODING="chunked")
    list(one.ask(refuse))
    assert one.body.taken == MIB
    assert one.headers["Connection"] == "close"


def test_draining_is_bounded_in_bytes_and_in_time() -> None:
    much = client(2 * MIB)
    list(much.ask(refuse, max_bytes=MIB))
    assert much.body.taken == MIB
    long = client(2 * MIB)
    list(long.ask(refuse, seconds=0))
    assert long.body.taken <= PIECE


def test_only_so_many_drain_at_once_and_the_rest_are_answered_all_the_same() -> None:
    application = Draining(refuse, max_bytes=8 * MIB, at_once=1)
    first, second, third = client(MIB), client(MIB), client(MIB)

    class Meanwhile(Body):
        def read(self, size: int | None = -1, /) -> bytes:
            assert list(application(second.environ, second.start)) == [b"too ", b"large"]
            return super().read(size)

    first.environ["wsgi.input"] = Meanwhile(b"x" * 10)
    first.environ["CONTENT_LENGTH"] = "10"
    list(application(first.environ, first.start))
    assert second.body.taken == 0
    list(application(third.environ, third.start))
    assert third.body.taken == MIB


def test_the_answer_is_closed_before_the_draining() -> None:
    """Django gives the database connection back when its response is closed."""
    one = client(MIB)
    closed_at: list[int] = []

    class Answer:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"no"])

        def close(self) -> None:
            closed_at.append(one.body.taken)

    def view(environ: dict[str, Any], start: Any) -> Answer:
        start("401 Unauthorized", [])
        return Answer()

    assert list(one.ask(view)) == [b"no"]
    assert closed_at == [0]
    assert one.body.taken == MIB


# ------------------------------------------------------------ the real server


@pytest.mark.parametrize("path", ["/refuse", "/half"])
def test_a_client_that_sends_all_before_it_reads_gets_the_answer_every_time(path: str) -> None:
    size = 4 * MIB
    with Served(idle_timeout=10) as served:
        for _ in range(20):
            with served.connect(put(path, size)) as sock:
                sock.sendall(b"x" * size)
                answer = all_of(sock)
            assert answer.startswith(b"HTTP/1.1 4")
            assert b"\r\nconnection: close\r\n" in answer.lower()
            assert answer.endswith(b"refused")


def test_a_refusal_comes_at_once_and_without_leave_to_send() -> None:
    with Served(idle_timeout=10) as served:
        head = put("/refuse", 100 * MIB, "Expect: 100-continue")
        with served.connect(head) as sock:
            answer = all_of(sock)
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"100 Continue" not in answer


def test_a_refusal_comes_before_the_body_does() -> None:
    with Served(idle_timeout=10) as served, served.connect(put("/refuse", MIB) + b"x") as sock:
        assert sock.recv(4096).startswith(b"HTTP/1.1 401")


def test_refused_uploads_that_stall_do_not_take_all_threads() -> None:
    with Served(threads=24, idle_timeout=10) as served:
        stalled = [served.connect(put("/refuse", MIB) + b"x") for _ in range(30)]
        try:
            assert all(sock.recv(4096).startswith(b"HTTP/1.1 401") for sock in stalled)
            assert served.get("/", timeout=3) == (200, b"here")
        finally:
            for sock in stalled:
                sock.close()
