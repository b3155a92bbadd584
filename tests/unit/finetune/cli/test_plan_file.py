"""Plans that no parser can read are told as such, whatever the parser makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.cli.plan_file import read_plan_values
from finetune.errors import InvalidPlan


@pytest.mark.parametrize("text", ["seed: 2024-13-45", "[" * 5000, "epochs: \x001", "a: *b", "- 1", ""])
def test_a_file_that_is_no_plan_is_told_by_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(InvalidPlan, match=r"plan\.yaml (is no YAML that can be read|holds no training plan)"):
        read_plan_values(tmp_path / "plan.yaml")
