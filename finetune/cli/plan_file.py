"""The values of a training plan in a file (YAML, and so JSON). It does not know which fields a plan has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from finetune.errors import InvalidPlan


def read_plan_values(path: Path) -> dict[str, Any]:
    """Field by field, as written. Raises `InvalidPlan` for a file that cannot be read or holds anything else."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidPlan(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InvalidPlan(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidPlan(f"{path} is no YAML that can be read: {line}{error.problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates that are none, nesting without end
        raise InvalidPlan(f"{path} is no YAML that can be read ({type(error).__name__}); write it anew.") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InvalidPlan(f"{path} holds no training plan; write a field a line, as in 'learning_rate: 0.0001'.")
    return values
