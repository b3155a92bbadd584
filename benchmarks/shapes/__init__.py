"""A real small text-to-image model: its world of pictures and captions, its training, and how well it follows prompts."""
