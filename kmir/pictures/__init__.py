"""Pictures of what a run learned and of what a model heard."""
