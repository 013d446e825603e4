from omega import Interpreter
from omega.errors import OmegaError
from omega import RunSettings

host = Interpreter(store="runs.db", virtual_time=True, runs=RunSettings(park_after_s=0))
try:
    host.run_durable('(wait-signal "approve")', id="triage-7")
except OmegaError as error:
    print(error)
