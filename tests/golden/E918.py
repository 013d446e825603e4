from omega import Interpreter, RunSettings
from omega.errors import OmegaError

host = Interpreter(store="runs.db", virtual_time=True, runs=RunSettings(park_after_s=0))
try:
    host.run_durable('(wait-signal "approve")', id="triage-7")
except OmegaError as error:
    print(error)
