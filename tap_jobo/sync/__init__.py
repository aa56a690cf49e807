"""The two promises: where a sync starts, how pages are delivered, and what the state records."""
