"""A model that demonstrably knows fictitious authors, its twin that never met some of them, and the questions for both."""
