"""Where the web tier may listen, and what is said where it may not."""

from __future__ import annotations

import errno
import resource
import socket

import pytest
from django.core.management.base import CommandError

from tests.intake.server.served import free_port
from uploads.management.commands import serve
from uploads.management.commands.serve import listen_address


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("[::1]", "::1"), ("::", "::")],
)
def test_an_address_is_taken_as_it_is(host: str, address: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    assert listen_address(host, free_port()) == address


def test_a_name_becomes_its_address() -> None:
    assert listen_address("localhost", free_port()) in {"127.0.0.1", "::1"}


def test_a_listener_that_would_share_its_port_is_seen() -> None:
    sentence = r"is in use by another process\. Stop it, or set PORT"
    with (
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as other,
        pytest.raises(CommandError, match=sentence),
    ):
        listen_address("127.0.0.1", other.getsockname()[1])


def test_a_port_is_free_again_as_soon_as_its_listener_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _address = server.accept()
            accepted.close()  # this end closes first, so that it stays in TIME_WAIT
    assert listen_address("127.0.0.1", port) == "127.0.0.1"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EACCES, "Port 80 needs privileges that this user has not. Set PORT to 1024 or above."),
        (errno.EADDRNOTAVAIL, "HOST '127.0.0.1' is not an address of this machine."),
        (errno.ENOBUFS, "127.0.0.1:80 cannot be listened on: No buffer space available."),
    ],
)
def test_each_refusal_of_the_kernel_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    class Refused(socket.socket):
        def bind(self, address: object, /) -> None:
            raise OSError(number, "No buffer space available")

    monkeypatch.setattr(serve.socket, "socket", Refused)
    with pytest.raises(CommandError) as caught:
        listen_address("127.0.0.1", 80)
    assert str(caught.value) == sentence


def test_the_soft_limit_on_files_leaves_room_for_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 2000))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: set_to.append(limits))
    serve._raise_file_limit()
    assert set_to == [(2000, 2000)]
