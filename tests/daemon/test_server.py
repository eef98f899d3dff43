"""The socket that the pages are served from."""

import socket

from optsync.daemon.server import listen


def test_an_answer_is_sent_at_once_and_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    with listen("127.0.0.1:0") as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
