"""A slow or silent client costs a thread for a bounded time (promise 7)."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.intake.server.served import Served, all_of, cut_after, put
from uploads.intake.server import idle_timeout
from uploads.intake.server.idle_timeout import Reading, Watchdog, Watched

IDLE = 30.0


class Story:
    """One connection as the watchdog sees it, with a clock of our own."""

    def __init__(self, min_rate: float = 0) -> None:
        self.now = 1000.0
        self.seen = Reading(0, 0)
        self.min_rate = min_rate
        self.watched = Watched(self.seen, self.now)

    def after(self, seconds: float, **changes: int | bool) -> idle_timeout.Verdict | None:
        """The verdict when so much later the counts have become `changes`."""
        self.now += seconds
        values = {name: getattr(self.seen, name) for name in Reading.__slots__} | changes
        self.seen = Reading(**values)
        return self.watched.judge(self.now, self.seen, IDLE, self.min_rate)


def test_a_connection_without_a_byte_either_way_is_idle() -> None:
    story = Story()
    assert story.after(29) is None
    assert story.after(1) == "idle"


def test_a_byte_received_or_acknowledged_starts_the_time_anew() -> None:
    story = Story()
    assert story.after(29, received=1) is None
    assert story.after(29, acked=1) is None
    assert story.after(29) is None
    assert story.after(1) == "idle"


def test_bytes_that_we_have_not_read_are_our_own_slowness() -> None:
    story = Story()
    assert story.after(1, received=500, unread=500) is None
    assert story.after(300) is None
    assert story.after(1, unread=0) is None
    assert story.after(28) is None
    assert story.after(1) == "idle"


def test_a_client_that_sends_on_but_takes_nothing_of_its_answer_is_idle() -> None:
    story = Story()
    assert story.after(1, received=500, unread=500, unsent=True) is None
    assert story.after(30) == "idle"


def test_a_body_that_trickles_in_below_the_least_rate_is_slow() -> None:
    story = Story(min_rate=100)
    verdicts = [story.after(10, received=10 * n) for n in range(1, 5)]
    assert verdicts == [None, None, None, "slow"]


def test_a_fast_start_does_not_pay_for_a_trickle_later() -> None:
    story = Story(min_rate=100)
    assert story.after(1, received=10_000_000) is None
    verdicts = [story.after(10, received=10_000_000 + n) for n in range(1, 7)]
    assert verdicts == [None, None, None, None, None, "slow"]


def test_a_body_at_the_least_rate_goes_on() -> None:
    story = Story(min_rate=100)
    assert [story.after(1, received=110 * n) for n in range(1, 200)] == [None] * 199


def test_small_requests_on_one_connection_are_not_a_slow_body() -> None:
    story = Story(min_rate=1000)
    for n in range(1, 50):
        assert story.after(2, received=300 * n) is None
        assert story.after(0.1, acked=500 * n) is None


def test_a_request_that_is_in_and_worked_on_is_not_slow() -> None:
    story = Story(min_rate=1000)
    assert story.after(1, received=300) is None
    assert story.after(29.9) is None


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """A listener, a client of it, and the accepted end, all in this process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        closing(listener.accept()[0]) as accepted,
    ):
        client.settimeout(5)
        accepted.settimeout(5)
        yield listener, client, accepted


def test_only_the_accepted_end_is_cut_never_an_outgoing_connection(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    _listener, client, accepted = pair
    dog = Watchdog(IDLE)
    assert dog.look(0) == 0
    assert dog.look(31) == 1
    assert client.recv(1) == b""
    assert len(dog.watched) == 1  # the client's end, a socket of this process too, was never looked after
    assert accepted.fileno() != -1
    os.fstat(accepted.fileno())  # shut down, but not closed: the descriptor is not ours


def test_a_cut_request_is_reported_and_a_rest_between_two_is_not(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    listener, client, accepted = pair
    dog = Watchdog(IDLE)
    with socket.create_connection(listener.getsockname()) as other, closing(listener.accept()[0]) as begun:
        dog.look(0)
        for sender, receiver in ((client, accepted), (accepted, client), (other, begun)):
            sender.sendall(b"x")
            assert receiver.recv(1) == b"x"
        dog.look(1)
        with capture_logs() as said:
            assert dog.look(32) == 2
    levels = sorted(line["log_level"] for line in said if line["event"] == "connection.cut")
    assert levels == ["debug", "info"]


def test_the_kernel_counts_what_a_client_takes_however_slowly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        client.settimeout(5)
        accepted, _address = listener.accept()
        with accepted:
            accepted.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    accepted.send(b"x" * 4096)
            dog = Watchdog(IDLE)
            for now in range(0, 200, 20):
                assert dog.look(now) == 0
                client.recv(4096)
                before = idle_timeout.read(accepted)
                assert before
                deadline = time.monotonic() + 5
                while idle_timeout.read(accepted) == before and time.monotonic() < deadline:
                    client.recv(4096)
            assert dog.look(200) == 0
            assert dog.look(229) == 0
            assert dog.look(231) == 1  # and when it takes no more, it is cut


def test_a_process_that_listens_no_more_does_not_wait_for_silent_clients(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    listener, client, _accepted = pair
    dog = Watchdog(IDLE)
    assert dog.look(0) == 0
    listener.close()
    assert dog.look(0.5) == 0
    assert dog.look(1.5) == 1
    assert client.recv(1) == b""


def test_files_and_other_sockets_are_left_alone(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    left, right = socket.socketpair()
    with (
        left,
        right,
        Path(os.devnull).open() as file,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        dog = Watchdog(IDLE)
        dog.look(0)
        dog.look(100)
        left.sendall(b"x")
        assert right.recv(1) == b"x"
        assert not file.closed


def test_a_descriptor_that_stands_for_something_else_by_now_is_not_cut(
    pair: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    _listener, client, accepted = pair
    assert idle_timeout._cut(accepted.fileno(), os.fstat(client.fileno()).st_ino) is False
    client.sendall(b"x")
    assert accepted.recv(1) == b"x"


def test_this_kernel_keeps_the_counts() -> None:
    assert idle_timeout.kernel_counts()


def test_without_counts_nothing_is_watched_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_timeout, "kernel_counts", lambda: False)
    monkeypatch.setattr(idle_timeout, "_started_in", 0)
    before = threading.active_count()
    idle_timeout.start(IDLE)
    assert threading.active_count() == before


def test_a_second_start_in_one_process_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Thread:
        def __init__(self, **options: object) -> None:
            assert options["daemon"] is True

        def start(self) -> None:
            started.append("thread")

    monkeypatch.setattr(idle_timeout, "_started_in", 0)
    monkeypatch.setattr(idle_timeout.threading, "Thread", Thread)
    idle_timeout.start(IDLE)
    idle_timeout.start(IDLE)
    assert started == ["thread"]


# ------------------------------------------------------------ the real server


def test_stalled_uploads_on_all_threads_are_cut_and_others_are_answered() -> None:
    with Served(threads=4, idle_timeout=1) as served, ExitStack() as stack:
        stalled = [stack.enter_context(served.stalled_upload()) for _ in range(4)]
        time.sleep(0.5)  # who waits for a thread as long as the time-out is silent too
        assert served.get("/", timeout=5) == (200, b"here")
        assert all(cut_after(sock) < 3 for sock in stalled)


def test_headers_and_silence_are_bounded_but_what_moves_goes_on() -> None:
    """Several clients at once on one server, so that the test waits once."""
    with Served(threads=4, idle_timeout=1) as served, ExitStack() as stack:
        keep_alive = stack.enter_context(served.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        mute = stack.enter_context(served.connect())
        trickle = stack.enter_context(served.connect())
        moving = stack.enter_context(served.connect(put("/take", 60, "Connection: close")))
        reader = stack.enter_context(served.connect(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n", 4096))
        deaf = stack.enter_context(served.connect(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n", 4096))

        taken, trickled = 0, 0
        for n in range(60):
            time.sleep(0.05)  # this is the clients' slowness itself
            moving.sendall(b"x")
            taken += len(reader.recv(1 << 14))
            if trickled == n:
                try:
                    trickle.sendall(b"GET / HTTP/1.1\r\nX: " if n == 0 else b"x")
                    trickled += 1
                except (BrokenPipeError, ConnectionResetError):
                    pass
        assert all_of(moving).endswith(b"\r\n\r\n60")
        assert taken > 0
        assert trickled < 59
        assert b"here" in keep_alive.recv(1000)
        assert cut_after(keep_alive) < 0.5
        assert cut_after(mute) < 0.5
        before_the_cut = 0
        try:
            while piece := deaf.recv(1 << 20):
                before_the_cut += len(piece)
        except ConnectionResetError:
            pass
        assert before_the_cut < 512 << 16
        while piece := reader.recv(1 << 20):
            taken += len(piece)
            if taken >= 512 << 16:
                break
        assert taken >= 512 << 16


def test_a_body_below_the_least_rate_is_cut_although_it_moves() -> None:
    with (
        Served(threads=1, idle_timeout=1, min_rate=1000) as served,
        served.connect(put("/take", 1000)) as upload,
    ):
        for _ in range(40):
            try:
                upload.sendall(b"x")
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)  # the client's slowness
        else:
            pytest.fail("the trickle was not cut")
        assert served.get("/") == (200, b"here")


def test_a_stop_does_not_wait_for_a_stalled_upload() -> None:
    with Served(threads=4, idle_timeout=30) as served, served.stalled_upload():
        assert served.stop() < 4


def test_a_stop_lets_an_upload_that_moves_finish() -> None:
    with (
        Served(threads=4, idle_timeout=30) as served,
        served.connect(put("/take", 20, "Connection: close")) as upload,
    ):
        upload.sendall(b"x")
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        for _ in range(19):
            time.sleep(0.05)  # the client's slowness
            upload.sendall(b"x")
        assert all_of(upload).endswith(b"\r\n\r\n20")
        upload.close()
        stopping.join()
