"""The loopback server itself, spoken to over plain sockets: what it records must be exact."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
from typing import Any

import pytest

from omega.testing import Fault, LoopbackServer


def post(server: LoopbackServer, body: Any, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def chat(prompt: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}]}


def raw_request(prompt: str) -> bytes:
    content = json.dumps(chat(prompt)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def test_an_answer_has_the_protocols_shape() -> None:
    with LoopbackServer(usage=(3, 4)) as server:
        status, body = post(server, chat("hi"))
        (call,) = server.calls
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "echo: hi"
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert (call.prompt, call.outcome) == ("hi", "replied")
    assert call.ended_s is not None and 0 <= call.arrived_s <= call.ended_s


def test_a_request_split_at_every_byte_and_two_in_one_packet() -> None:
    with LoopbackServer() as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw_request("slow"):
            client.send(bytes([byte]))
        server.wait_until(lambda s: s.replied == 1)
        client.sendall(raw_request("one") + raw_request("two"))
        server.wait_until(lambda s: s.replied == 3)
        assert [call.prompt for call in server.calls] == ["slow", "one", "two"]
        assert {call.connection for call in server.calls} == {1}


def test_a_client_that_leaves_is_an_early_close_at_once() -> None:
    with LoopbackServer(latency_s=60) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(raw_request("gone"))
        server.wait_until(lambda s: s.in_flight == 1)
        client.close()
        after = server.wait_until(lambda s: s.early_closes == 1)
        (call,) = server.calls
    assert (after.in_flight, after.replied, call.outcome) == (0, 0, "closed")
    assert call.ended_s is not None and call.ended_s < 30


def test_the_peak_is_what_was_in_flight_at_once() -> None:
    with LoopbackServer(latency_s=60) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(9)]
        for client in clients:
            client.sendall(raw_request("p"))
        server.wait_until(lambda s: s.in_flight == 9)
        for client in clients:
            client.close()
        server.wait_until(lambda s: s.open_connections == 0)
        server.latency_s = 0
        post(server, chat("alone"))
        end = server.wait_until(lambda s: s.open_connections == 0)
    assert (end.peak, end.requests, end.replied, end.in_flight) == (9, 10, 1, 0)


def test_faults_in_sequence_by_word_and_by_call() -> None:
    with LoopbackServer(faults=["429", None, Fault.http(503, retry_after="7")]) as server:
        assert [post(server, chat("p"))[0] for _ in range(4)] == [429, 200, 503, 200]
        server.faults = lambda call: "500" if "bad" in call.prompt else None
        assert post(server, chat("bad one"))[0] == 500
        assert post(server, chat("good one"))[0] == 200
        assert [call.outcome for call in server.calls[:3]] == ["fault", "replied", "fault"]


def test_a_cut_ends_the_connection_before_or_within_the_body() -> None:
    with LoopbackServer(faults=["cut", "cut:10"]) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            post(server, chat("p"))
        with pytest.raises(http.client.IncompleteRead) as caught:
            post(server, chat("p"))
    assert len(caught.value.partial) == 10


def test_requests_that_make_no_sense_are_answered_in_the_protocols_shape() -> None:
    with LoopbackServer() as server:
        assert post(server, b"{not json")[0] == 400
        assert post(server, [])[0] == 400
        assert post(server, {"messages": [1]})[0] == 400
        assert post(server, {**chat("p"), "stream": True})[0] == 400
        status, body = post(server, chat("p"), path="/elsewhere")
        assert status == 404 and "/elsewhere" in body["error"]["message"]
        assert server.snapshot().requests == 0


def test_a_callable_that_fails_is_shown_to_the_client() -> None:
    def fail(call: Any) -> str:
        raise ValueError("my mistake")

    with LoopbackServer(reply=fail) as server:
        status, body = post(server, chat("p"))
        assert status == 500 and "my mistake" in body["error"]["message"]
        server.reply = "fixed"
        assert post(server, chat("p"))[0] == 200


def test_leaving_with_clients_connected_and_stalled_is_clean() -> None:
    with LoopbackServer(faults=lambda call: "timeout") as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
        for client in clients[1:]:
            client.sendall(raw_request("p"))
        server.wait_until(lambda s: s.in_flight == 4)
    assert server.snapshot().open_connections == server.snapshot().in_flight == 0
    assert server.snapshot().early_closes == 0  # the server left, not they
    for client in clients:
        client.close()
    assert "loopback-server" not in [thread.name for thread in threading.enumerate()]
    gc.collect()


def test_waiting_for_what_does_not_happen_shows_the_counters() -> None:
    with LoopbackServer() as server, pytest.raises(TimeoutError, match="requests=0"):
        server.wait_until(lambda s: s.requests == 1, timeout_s=0.01)
