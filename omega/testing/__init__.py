"""The test kit that ships to users: what Omega's own tests stand on.

`LoopbackServer`: a real HTTP server on 127.0.0.1 that speaks the protocols of OpenAI and Anthropic,
whole and streamed, with scripted answers, latencies, faults and limits, and an exact record of what
reached it. Point the real SDKs at it:

    with LoopbackServer(reply=lambda call: call.prompt.upper(), faults=["429", "cut"]) as server:
        provider = OpenAIProvider("test-model", base_url=server.base_url, api_key=server.api_key)

`explore`, `explore_program`, `explore_file`: a scenario or a program under many schedules. What
fails is raised as ScheduleFailed, with the least that makes it fail:

    def test_transfers():
        explore_file("bank.omega", runs=2000)

Nothing here is imported by Omega itself.
"""

from omega.testing.explore import ScheduleFailed, explore, explore_file, explore_program
from omega.testing.loopback import (
    Fault,
    LoopbackCall,
    LoopbackLimits,
    LoopbackReply,
    LoopbackServer,
    Snapshot,
    http_date,
)

__all__ = [
    "Fault",
    "LoopbackCall",
    "LoopbackLimits",
    "LoopbackReply",
    "LoopbackServer",
    "ScheduleFailed",
    "Snapshot",
    "explore",
    "explore_file",
    "explore_program",
    "http_date",
]
