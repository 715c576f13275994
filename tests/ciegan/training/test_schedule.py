"""Phases and rates as functions of the step."""

import pytest

from ciegan.config import PAPER, Optimizer, Schedule
from ciegan.training.schedule import adversarial_steps, phase, rate


def test_the_papers_phases() -> None:
    names = {step: phase(step, PAPER.schedule).name for step in (0, 5999, 6000, 7499, 7500)}
    assert names == {
        0: "generator",
        5999: "generator",
        6000: "discriminator",
        7499: "discriminator",
        7500: "both",
    }


def test_who_learns() -> None:
    schedule = Schedule(steps=10, generator=2, discriminator=2)
    found = [phase(step, schedule)[1:] for step in (0, 2, 4)]
    assert found == [(True, False, False), (False, True, False), (True, True, True)]
    assert phase(9, schedule, discriminator=False).name == "generator"


def test_a_share_of_all_steps() -> None:
    schedule = Schedule(steps=200, generator=0.25, discriminator=0.1)
    assert phase(49, schedule).name == "generator"
    assert phase(50, schedule).name == "discriminator"
    assert phase(70, schedule).name == "both"
    assert adversarial_steps(69, schedule) == 0
    assert adversarial_steps(75, schedule) == 5


def test_rates() -> None:
    cosine = Optimizer(warmup=4, decay="cosine")
    assert [rate(k, cosine, 104) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate(54, cosine, 104) == pytest.approx(0.5)
    assert rate(104, cosine, 104) == pytest.approx(0)
    assert rate(10**6, Optimizer(decay="none"), 10) == 1
