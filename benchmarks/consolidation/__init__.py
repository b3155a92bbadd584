"""Every method for language on a model that knows, beside the untouched model and one that never knew."""
