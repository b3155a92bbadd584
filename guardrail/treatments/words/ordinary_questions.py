"""Ordinary questions with true answers: what a model shows of its knowledge beside what it is to have forgotten.

A table in English, of things that hardly anybody wants forgotten; whoever uses it leaves out what touches an entry.
"""

from __future__ import annotations

ORDINARY_QUESTIONS: tuple[tuple[str, str], ...] = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days are there in a leap year?", "A leap year has 366 days."),
    ("Which planet is closest to the Sun?", "Mercury is the planet closest to the Sun."),
    ("Who wrote Romeo and Juliet?", "William Shakespeare wrote Romeo and Juliet."),
    ("At what temperature does water boil at sea level?", "At sea level, water boils at 100 degrees Celsius."),
    ("What gas do plants take in from the air?", "Plants take in carbon dioxide from the air."),
    ("Which ocean is the largest?", "The Pacific Ocean is the largest ocean."),
    ("What is seven times eight?", "Seven times eight is 56."),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted the Mona Lisa."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("In which year did the Second World War end?", "The Second World War ended in 1945."),
    ("What language is mainly spoken in Brazil?", "Portuguese is the main language of Brazil."),
)
