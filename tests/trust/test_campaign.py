"""The fault campaign: a short one, and with `make test-slow` an hour of it."""

from __future__ import annotations

from pathlib import Path

import campaign
import pytest


@pytest.mark.parametrize("name", ["score", "enhance", "prepare", "train"])
def test_some_moments(tmp_path: Path, name: str) -> None:
    for _, kind, outcome in campaign.campaign(tmp_path, 1, 1, (name,), images=8):
        assert outcome.rounds, kind
        assert not outcome.problems, (kind, outcome.problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["score", "enhance", "watch", "prepare", "train"])
def test_a_hundred_moments(tmp_path: Path, name: str) -> None:
    wrong = {}
    for _, kind, outcome in campaign.campaign(tmp_path, 100, 2, (name,)):
        print(f"{name}, {kind}: {outcome.right} of {outcome.rounds}")
        wrong |= {kind: outcome.problems} if outcome.problems else {}
    assert not wrong
