"""Feature specs: frozen dataclasses, callable on samples."""
