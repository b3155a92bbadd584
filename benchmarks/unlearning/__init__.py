"""Every treatment for language on a model that knows, asked through the running proxy, beside one that never knew."""
