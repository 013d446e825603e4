"""The language: reader, expander, compiler, primitives, runtime. Knows nothing of tasks, files or
models.

Read `core.py` (what every form becomes), then `emitter.py` (what that becomes in Python), then
`conditions.py` (how failures meet their handlers). `host.py` is the seam to whatever runs it.
"""
