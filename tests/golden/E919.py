import os

from omega import Interpreter, RunSettings
from omega.errors import OmegaError


def go_on(charge, policy):
    host = Interpreter(store="runs.db", virtual_time=True, runs=RunSettings(policy))
    host.define("charge", charge, effect="paid")
    return host.run_durable("(charge 5)", id="triage-7")


if os.fork() == 0:
    go_on(lambda amount: os._exit(1), "ask")  # its process dies while it charges
os.wait()
try:
    go_on(lambda amount: "charged", "fail")
except OmegaError as error:
    print(error)
