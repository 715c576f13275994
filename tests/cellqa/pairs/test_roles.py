"""Roles are the plain text that stands in options and tables."""

import json

from cellqa.pairs.roles import GIVEN, Role, in_order


def test_a_role_is_its_text() -> None:
    assert json.dumps({Role.RAW: [Role.REFERENCE]}) == '{"input": ["gt"]}'
    assert f"{Role.EGT} {[Role.MASK]!r}" == "egt ['mask']"
    assert {"gt": 1}[Role.REFERENCE] == 1
    assert {role.option for role in GIVEN} == {"--gt", "--input", "--mask", "--valid"}


def test_methods_stand_between_raw_images_and_truth() -> None:
    assert in_order(["gt", "b", "input", "a", "egt"]) == ["input", "b", "a", "egt", "gt"]
