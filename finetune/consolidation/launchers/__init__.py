"""Where a job's process runs: a literal table, name -> class, by what a launcher is (`protocol.py`)."""

from __future__ import annotations

from finetune.consolidation.launchers.local import LocalLauncher
from finetune.consolidation.launchers.protocol import Launched, Launcher
from finetune.consolidation.launchers.ray_cluster import RayLauncher

LAUNCHERS: dict[str, type[Launcher]] = {"local": LocalLauncher, "ray": RayLauncher}

__all__ = ["LAUNCHERS", "Launched", "Launcher"]
