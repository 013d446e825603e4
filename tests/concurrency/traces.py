"""What a trace has to be, by the Trace Event Format, and what is read off it."""

from __future__ import annotations

from collections import Counter

REQUIRED = {
    "M": {"name", "pid", "tid", "args"},
    "B": {"name", "pid", "tid", "ts", "cat"},
    "E": {"pid", "tid", "ts"},
    "b": {"name", "pid", "tid", "ts", "id", "cat"},
    "e": {"name", "pid", "tid", "ts", "id", "cat"},
    "s": {"name", "pid", "tid", "ts", "id", "cat"},
    "f": {"name", "pid", "tid", "ts", "id", "cat", "bp"},
    "i": {"name", "pid", "tid", "ts", "s"},
    "C": {"name", "pid", "tid", "ts", "args"},
}


def check(events):
    """Raises where `events` are not as the format has them."""
    open_spans, async_spans, starts, last = {}, {}, Counter(), {}
    for event in events:
        kind = event["ph"]
        missing = REQUIRED[kind] - set(event)
        assert not missing, f"{event} has no {missing}"
        assert type(event["pid"]) is int and type(event["tid"]) is int
        lane = (event["pid"], event["tid"])
        if "ts" in event:
            assert event["ts"] >= last.get(lane, 0), f"{event} is before what came before it"
            last[lane] = event["ts"]
        if kind == "B":
            open_spans.setdefault(lane, []).append(event["name"])
        elif kind == "E":
            assert open_spans[lane].pop()
        elif kind == "b":
            async_spans.setdefault((event["cat"], event["id"]), []).append(event["name"])
        elif kind == "e":
            assert async_spans[event["cat"], event["id"]].pop() == event["name"]
        elif kind == "s":
            starts[event["id"]] += 1
        elif kind == "f":
            assert starts[event["id"]] == 1, "an arrow without a start"
        elif kind == "C":
            assert all(type(value) in (int, float) for value in event["args"].values())
    assert not any(open_spans.values()) and not any(async_spans.values())


def spans(events, lane):
    """(name, from, to) of each span in a lane of tasks, by the lane's name."""
    (tid,) = [e["tid"] for e in events if e.get("args") == {"name": lane}]
    found, open_ = [], []
    for event in events:
        if (event["pid"], event["tid"]) != (1, tid):
            continue
        if event["ph"] == "B":
            open_.append(event)
        elif event["ph"] == "E":
            began = open_.pop()
            found.append((began["name"], began["ts"], event["ts"]))
    return found
