"""What a step of DBOS takes, on SQLite: microseconds, on standard output. Arguments: a folder, how
many steps.
"""

import sys
import time

from dbos import DBOS

folder, steps = sys.argv[1], int(sys.argv[2])
DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
             "log_level": "ERROR", "run_admin_server": False})  # fmt: skip


@DBOS.step()
def step(n: int) -> int:
    return n + 1


@DBOS.workflow()
def flow(n: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        n = step(n)
    return time.perf_counter() - began


DBOS.launch()
flow(0)
print(flow(0) / steps * 1e6)
DBOS.destroy()
