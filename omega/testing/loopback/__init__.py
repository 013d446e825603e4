"""A model's server on 127.0.0.1: real HTTP/1.1, scripted behaviour, an exact record.

Owns: `LoopbackServer` and the wire of two vendors: OpenAI's chat completions and Anthropic's
messages, whole and streamed, keep-alive, faults on purpose, a limiter that answers 429. Refuses:
chunked requests, TLS, any interface but loopback.

- `server.py` the thread, its loop, and how a request is answered
- `connection.py` HTTP/1.1: bytes in, requests out; answers in, bytes out
- `openai_wire.py`, `anthropic_wire.py` the bodies, events, headers and errors of each vendor
- `faults.py`, `replies.py`, `limits.py` what a test says: what goes wrong, the answers, the limits
- `record.py` what a test reads: calls and counters
"""

from omega.testing.loopback.faults import Fault, http_date
from omega.testing.loopback.limits import LoopbackLimits
from omega.testing.loopback.record import LoopbackCall, Snapshot
from omega.testing.loopback.replies import LoopbackReply
from omega.testing.loopback.server import LoopbackServer

__all__ = [
    "Fault",
    "LoopbackCall",
    "LoopbackLimits",
    "LoopbackReply",
    "LoopbackServer",
    "Snapshot",
    "http_date",
]
