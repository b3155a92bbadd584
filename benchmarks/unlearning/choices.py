"""What can be chosen: about whom is asked, and which model knows them. Names alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Served = Literal["target", "retain", "untrained"]
"""The packaged model with one of the adapters, or without any."""

On = Literal["authors", "other-authors", "people"]
"""About whom is asked; `rows.py` says what for."""

KNOWS: Final[Mapping[On, Served]] = {"authors": "target", "other-authors": "target", "people": "untrained"}
"""The model that knows them."""
