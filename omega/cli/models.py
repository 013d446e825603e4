"""The models and the budget that the options of the command line ask for.

Owns: what `--llm`, `--config` and `--budget` mean together, where `omega.toml` is looked for.
Refuses: the format of the file (llm/settings.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omega.calls import Models
    from omega.llm import Provider
    from omega.llm.budget import Budget
    from omega.llm.settings import Settings
    from omega.runs.session import DurableSession
    from omega.tape import Recording, Replay


def models_of(
    given: dict[str, Any], session: Recording | Replay | DurableSession | None = None
) -> str | Provider | Models | None:
    """Who answers calls of models, as Interpreter takes it."""
    spec = given.get("llm")
    if session is not None and session.is_replay:
        return session.models  # type: ignore[union-attr]
    settings = _settings(given)
    if settings is None:
        return spec
    from omega.calls import Models

    if spec in settings.models:
        settings.default = spec
        models = Models.of_settings(settings)
        models.need_ready(spec)  # who names it means to use it
        return models
    if spec is None and settings.default is not None:
        return Models.of_settings(settings)
    return Models.of_settings(settings, Models.of(spec).provider)


def models_of_runs(given: dict[str, Any]) -> Callable[[], Models]:
    """What makes the models for each run of a program that is run in virtual time, again and again.

    A configured model of a vendor keeps its name, its limits and its price, and the scripted
    provider (of `--llm`, if it is told there) answers in its place: no key is needed.
    """
    from omega.calls import Models
    from omega.calls.models import VENDORS
    from omega.llm.spec import DEFAULT_SPEC

    settings, spec = _settings(given), given.get("llm")
    if settings is None:
        return lambda: Models.of(spec)
    if spec in settings.models:
        settings.default, spec = spec, None
    stand_in = DEFAULT_SPEC
    if spec is not None and spec.partition(":")[0] == DEFAULT_SPEC:
        stand_in = spec
    for each in settings.models.values():
        if each.provider.partition(":")[0] in VENDORS:
            each.model = each.model or each.provider.partition(":")[2] or None
            each.provider, each.key, each.base_url = stand_in, None, None
    if spec is None and settings.default is not None:
        return lambda: Models.of_settings(settings)
    return lambda: Models.of_settings(settings, Models.of(spec).provider)


def _settings(given: dict[str, Any]) -> Settings | None:
    from omega.llm.spec import SETTINGS_FILE

    path = given.get("config")
    if path is None:
        # A program that is not trusted does not say where keys are sent to.
        if given.get("sandbox") or not os.path.isfile(SETTINGS_FILE):
            return None
        path = SETTINGS_FILE
    from omega.llm.settings import read_settings

    return read_settings(path)


def budget_of(given: dict[str, Any]) -> Budget | None:
    """What all calls of models are paid from."""
    amounts = given.get("budget")
    if amounts is None:
        return None
    from omega.llm.budget import Budget

    usd = amounts.get("usd")
    return Budget(
        amounts.get("calls"),
        amounts.get("tokens"),
        None if usd is None else Decimal(usd),
        name="--budget",
    )
