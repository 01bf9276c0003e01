from __future__ import annotations

import pytest

from ctconsole.lab.httpd import MAX_HEAD, SERVER, answer

GET = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"


def status(request: bytes) -> tuple[bytes, bool]:
    reply = answer(bytearray(request))
    assert reply
    return reply[0].split(b"\r\n")[0], reply[1]


def test_a_proper_request_gets_a_page_and_keeps_the_connection() -> None:
    reply = answer(bytearray(GET))
    assert reply
    text, close = reply
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body
    assert not close


@pytest.mark.parametrize(
    "garbage",
    [
        b"aaaaa\r\n",
        b"\r\n",
        b"\n",
        b"GET\r\n",
        b"get / HTTP/1.1\r\n",
        b"GET / HTTP/2.0\r\n",
        b"\0\n",
    ],
)
def test_garbage_gets_400_with_a_server_header_and_ends_the_connection(garbage: bytes) -> None:
    reply = answer(bytearray(garbage))
    assert reply
    text, close = reply
    assert text.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert f"\r\nServer: {SERVER}\r\n".encode() in text
    assert close


@pytest.mark.parametrize("length", range(len(GET)))
def test_an_incomplete_request_waits(length: int) -> None:
    assert answer(bytearray(GET[:length])) is None


def test_one_request_is_taken_and_the_next_stays() -> None:
    buffer = bytearray(GET + b"HEAD /")
    assert answer(buffer)
    assert buffer == b"HEAD /"


def test_head_gets_no_body() -> None:
    reply = answer(bytearray(GET.replace(b"GET", b"HEAD")))
    assert reply
    assert reply[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_head", "line", "close"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", b"HTTP/1.1 200 OK", True),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request", True),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 405 Not Allowed", True),
        (b"A" * MAX_HEAD, b"HTTP/1.1 431 Header Fields Too Large", True),
    ],
)
def test_the_other_answers(request_head: bytes, line: bytes, close: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert status(request_head) == (line, close)
