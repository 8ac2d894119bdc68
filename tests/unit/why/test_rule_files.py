"""Rules in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.errors import ContentError
from st2sensor.why.rule_files import rule_in

RULE = "name: r\ntrigger: {type: p.t, parameters: {a: 1}}\n"


def test_a_rule_belongs_to_its_pack_and_is_disabled_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "rules" / "r.yaml"
    path.parent.mkdir()
    path.write_text(RULE)
    found = rule_in(path)
    assert (found.ref, found.enabled, found.criteria, found.parameters) == ("default.r", False, {}, {"a": 1})
    (tmp_path / "pack.yaml").write_text("name: net\nversion: 1.0.0\nref: net\n")
    path.write_text(f"{RULE}enabled: true\ntype: {{ref: backstop}}\naction: {{ref: core.local}}\n")
    found = rule_in(path)
    assert (found.ref, found.enabled, found.kind, found.action) == ("net.r", True, "backstop", "core.local")


@pytest.mark.parametrize("wrong", ["criteria: [1]", "enabled: maybe", "trigger: {}"])
def test_a_wrong_rule_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{RULE}{wrong}\n" if not wrong.startswith("trigger") else f"name: r\n{wrong}\n")
    with pytest.raises(ContentError, match=r"r\.yaml:\d"):
        rule_in(path)
