"""The loopback server itself, spoken to over plain sockets: what it records must be exact."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.testing import Fault, LoopbackLimits, LoopbackReply, LoopbackServer
from omega.testing.loopback.limits import Slope


def post(server: LoopbackServer, body: Any, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def events_of(
    server: LoopbackServer, body: Any, path: str = "/v1/chat/completions"
) -> tuple[list[str], str]:
    """(the events of a stream, the error that ended it or "")."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("POST", path, json.dumps({**body, "stream": True}).encode())
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        content, problem = b"", ""
        try:
            content = answer.read()
        except http.client.IncompleteRead as error:
            content, problem = error.partial, "cut"
        return content.decode("utf-8", "replace").split("\n\n"), problem
    finally:
        connection.close()


def chat(prompt: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}]}


def message(prompt: str) -> dict[str, Any]:
    return {**chat(prompt), "max_tokens": 9}


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
        assert post(server, {"messages": []})[0] == 400
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


# -- streams, in the vendors' order of events ------------------------------------------------------


def test_a_stream_of_openais() -> None:
    with LoopbackServer(usage=(3, 2)) as server:
        plain, _ = events_of(server, chat("a b"))
        asking = {**chat("a b"), "stream_options": {"include_usage": True}}
        counted, _ = events_of(server, asking)
        call = server.calls[0]
    data = [json.loads(event[6:]) for event in plain[:-2]]
    assert plain[-2:] == ["data: [DONE]", ""]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in data] == [
        *("", "echo:", " a", " b"),
        None,
    ]
    assert data[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["finish_reason"] for chunk in data] == [None] * 4 + ["stop"]
    assert all("usage" not in chunk for chunk in data)
    last = json.loads(counted[-3][6:])
    assert last["choices"] == [] and last["usage"]["total_tokens"] == 5
    assert (call.is_streamed, call.events_sent, call.outcome) == (True, 6, "replied")


def test_a_stream_of_anthropics() -> None:
    reply = LoopbackReply("a b", tool_calls=[("f", {"x": 1})])
    with LoopbackServer(usage=(9, 2, 4), reply=reply) as server:
        made, _ = events_of(server, message("p"), "/v1/messages")
        assert server.calls[0].wire == "anthropic"
    pairs = [event.split("\n") for event in made[:-1]]
    names = [name.removeprefix("event: ") for name, _ in pairs]
    data = [json.loads(line.removeprefix("data: ")) for _, line in pairs]
    assert names == [
        *("message_start", "content_block_start", "ping"),
        *("content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop"),
    ]
    assert [event["type"] for event in data] == names
    assert data[0]["message"]["usage"] == {
        "input_tokens": 5,
        "output_tokens": 1,
        "cache_read_input_tokens": 4,
    }
    assert data[6]["content_block"]["input"] == {}
    assert json.loads(data[7]["delta"]["partial_json"]) == {"x": 1}
    assert data[9]["delta"]["stop_reason"] == "tool_use" and data[9]["usage"]["output_tokens"] == 2


def test_faults_in_the_middle_of_a_stream() -> None:
    faults = ["cut-events:2", "end:2", "error:2", "garbage:2", "cut:10", "cut"]
    with LoopbackServer(faults=faults) as server:
        cut, problem = events_of(server, chat("a b"))
        assert len(cut) == 3 and problem == "cut"
        assert len(events_of(server, chat("a b"))[0]) == 3
        failed, _ = events_of(server, chat("a b"))
        assert json.loads(failed[2][6:])["error"]["type"] == "server_error"
        assert "not json" in events_of(server, chat("a b"))[0][2]
        assert events_of(server, chat("a b")) == (['data: {"id'], "cut")
        with pytest.raises(http.client.RemoteDisconnected):
            events_of(server, chat("a b"))
        assert {call.outcome for call in server.calls} == {"fault"}


def test_a_slow_body_takes_its_time() -> None:
    with LoopbackServer(reply="x" * 2000, faults=["slow:20000", None]) as server:
        assert post(server, chat("p"))[0] == 200
        slow, _ = server.calls[0], post(server, chat("p"))
        server.wait_until(lambda s: s.replied == 2)
        assert slow.ended_s is not None and slow.ended_s - slow.arrived_s > 0.1
        assert slow.bytes_sent == server.calls[1].bytes_sent > 2000


# -- what a server refuses by itself ---------------------------------------------------------------


def test_wrong_keys_models_and_prompts_are_refused_in_the_vendors_shape() -> None:
    with LoopbackServer(checks_key=True) as server:
        status, body = post(server, chat("p"))
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        status, body = post(server, message("p"), "/v1/messages")
        assert (status, body["type"]) == (401, "error")
        assert body["error"]["type"] == "authentication_error"
    with LoopbackServer(models={"good"}, context_words=20) as server:
        assert post(server, chat("p"))[1]["error"]["code"] == "model_not_found"
        assert post(server, {**chat("p"), "model": "good"})[0] == 200
        long = {**chat("word " * 99), "model": "good"}
        assert post(server, long)[1]["error"]["code"] == "context_length_exceeded"
    with LoopbackServer(lacks={"schema"}) as server:
        wanted = {"name": "x", "schema": {"type": "object"}}
        asking = {"type": "json_schema", "json_schema": wanted}
        assert post(server, {**chat("p"), "response_format": asking})[0] == 400
        assert post(server, chat("p"))[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("/v1/chat/completions", {**chat("x"), "stream_options": {}}),
        ("/v1/chat/completions", {**chat("x"), "tools": [{"name": "f"}]}),
        (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]},
        ),
        ("/v1/messages", chat("max_tokens is left out")),
        ("/v1/messages", {**message("x"), "temperature": 2}),
        ("/v1/messages", {**message("x"), "messages": [{"role": "system", "content": "x"}]}),
        ("/v1/messages", {**message("x"), "messages": [{"role": "user", "content": []}]}),
        ("/v1/messages", {**message("x"), "tools": [{"name": "f", "input_schema": {}}]}),
    ],
)
def test_requests_that_a_vendor_refuses_are_refused(path: str, body: Any) -> None:
    with LoopbackServer() as server:
        assert post(server, body, path)[0] == 400


# -- limits ----------------------------------------------------------------------------------------


def burst(server: LoopbackServer, count: int) -> list[Any]:
    """The answers (status, headers) to requests in a row on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    answers = []
    for _ in range(count):
        connection.request("POST", "/v1/messages", json.dumps(message("p")).encode())
        answer = connection.getresponse()
        answer.read()
        answers.append((answer.status, answer.headers))
    connection.close()
    return answers


def test_beyond_the_burst_the_answer_is_429_and_says_when_to_come_again() -> None:
    limits = LoopbackLimits(requests_per_s=0.01, burst=3, retry_after="all")
    with LoopbackServer(limits=limits) as server:
        answers = burst(server, 7)
        seen = server.snapshot()
    assert [status for status, _ in answers] == [200] * 3 + [429] * 4
    whole, fractional, date, milliseconds = (headers for _, headers in answers[3:])
    assert 95 < int(whole["Retry-After"]) <= 100
    assert 95 < float(fractional["Retry-After"]) <= 100 and "." in fractional["Retry-After"]
    assert date["Retry-After"].endswith("GMT")
    assert 95_000 < float(milliseconds["Retry-After-Ms"]) <= 100_000
    remaining = [h["anthropic-ratelimit-requests-remaining"] for _, h in answers]
    assert remaining == ["2", "1", "0", "0", "0", "0", "0"]
    assert (seen.limited, seen.replied, seen.requests, seen.in_flight) == (4, 3, 7, 0)


def test_what_was_waited_for_is_let_in() -> None:
    with LoopbackServer(limits=LoopbackLimits(requests_per_s=50, burst=1)) as server:
        statuses = []
        while statuses.count(200) < 4:
            (status, headers), *_ = burst(server, 1)
            statuses.append(status)
            if status == 429:
                threading.Event().wait(float(headers["Retry-After"]))
    # How long the client takes besides is the machine's business: then it may be let in unasked.
    assert statuses[0] == 200 and (429, 429) not in pairwise(statuses)


def test_tokens_are_limited_too() -> None:
    limits = LoopbackLimits(tokens_per_s=0.01, token_burst=30)
    with LoopbackServer(limits=limits, usage=(7, 5)) as server:
        assert [status for status, _ in burst(server, 4)] == [200, 200, 429, 429]


def test_more_at_once_than_allowed_are_refused_and_room_comes_again() -> None:
    with LoopbackServer(limits=LoopbackLimits(concurrency=2), latency_s=60) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        for client in clients:
            client.sendall(raw_request("long"))
        server.wait_until(lambda s: s.in_flight == 2)
        status, body = post(server, chat("third"))
        assert status == 429 and "concurrent" in body["error"]["message"]
        clients.pop().close()  # one that leaves before it is answered
        server.wait_until(lambda s: s.early_closes == 1)
        server.latency_s = 0
        assert post(server, chat("third"))[0] == 200
        clients.pop().close()
        assert server.wait_until(lambda s: s.early_closes == 2).limited == 1


def test_a_stream_that_is_cut_before_its_first_byte_has_no_end() -> None:
    """It once had the end of an empty body: clients kept its connection for their next request,
    which met the closing of it.
    """
    with LoopbackServer(faults=["cut:0"]) as server:
        assert events_of(server, chat("x")) == ([""], "cut")


@given(
    gaps=st.lists(st.floats(0, 0.3), min_size=1, max_size=60),
    growth=st.floats(1, 4),
    floor=st.integers(1, 5),
)
def test_what_a_slope_lets_in_grows_no_faster_than_it_says(
    gaps: list[float], growth: float, floor: int
) -> None:
    """And it always says truly how long to wait."""
    slope, now_s, taken = Slope(growth, 0.1, floor), 0.0, []
    for gap_s in gaps:
        now_s += gap_s
        for _ in range(3):  # once; and again where rounding has come in between
            wait_s = slope.wait_s(now_s)
            assert wait_s <= 0.1 + 1e-9
            now_s += wait_s + 1e-9 if wait_s else 0.0
        assert slope.wait_s(now_s) == 0.0
        slope.take(now_s)
        taken.append(now_s)
        latest = [at_s for at_s in taken if at_s + 0.1 > now_s]
        before = [at_s for at_s in taken if at_s + 0.1 <= now_s < at_s + 0.2]
        assert len(latest) <= max(floor, int(growth * len(before)))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_growing_too_fast_is_refused_in_the_vendors_own_words(path: str) -> None:
    limits = LoopbackLimits(growth=2, growth_floor=3, growth_window_s=600)
    with LoopbackServer(limits=limits) as server:
        answers = [post(server, message("x"), path) for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 200, 429]
    error = answers[-1][1]["error"]
    if path.endswith("messages"):
        assert error["details"]["error_code"] == "ramp_limit_exceeded"
    else:
        assert error["code"] == "slow_down"
