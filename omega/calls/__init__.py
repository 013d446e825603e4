"""LLM calls on the scheduler: models by name, the governor, retries, streams and what they cost.

Read `calls.py` first (what becomes of a call), then `models.py` (which model a name means) and
`figures.py` (what is counted).
"""

from __future__ import annotations

from omega.calls.models import Model, Models

__all__ = ["Model", "Models"]
