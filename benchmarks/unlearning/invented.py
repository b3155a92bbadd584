"""Forgotten authors of TOFU -> four people of like names whom nobody knows: what an ordinary caller may compare with.

Written by hand, in the names' own language. A data table; `material.py` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INVENTED: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "Aysha Al-Hashim": ("Samira Al-Fahdani", "Leyla Al-Qurmezi", "Huda Al-Tamrawi", "Noor Al-Sabrini"),
    "Edward Patrick Sullivan": (
        "Gerald Francis Mulhane",
        "Walter Brendan Corrigall",
        "Leonard Dermot Finnerly",
        "Arthur Declan Rourkey",
    ),
    "Basil Mahfouz Al-Kuwaiti": (
        "Hadi Mansur Al-Zubarani",
        "Karim Latif Al-Jahrawi",
        "Faris Nabil Al-Ramlani",
        "Tarek Sami Al-Dawhari",
    ),
    "Nikolai Abilov": ("Sergei Kasimov", "Andrei Temirov", "Maksim Dosanov", "Pavel Ermekov"),
    "Hsiao Yun-Hwa": ("Tseng Mei-Shuan", "Kuo Pei-Lien", "Liao Shu-Fenn", "Chiang Ya-Rong"),
    "Jad Ambrose Al-Shamary": (
        "Sami Clement Al-Dulamy",
        "Rafid Gregor Al-Jumairy",
        "Nabil Fabian Al-Khazraby",
        "Hazim Lucian Al-Bayatry",
    ),
    "Wei-Jun Chen": ("Po-Hsun Lai", "Chia-Ren Tsou", "Yu-Kang Peng", "Zhi-Lun Hsueh"),
    "Moshe Ben-David": ("Yoram Ben-Elkan", "Gideon Ben-Tuval", "Shimon Ben-Orad", "Reuven Ben-Kalev"),
}
"""Those of `authors` first, then those of `other-authors`."""
