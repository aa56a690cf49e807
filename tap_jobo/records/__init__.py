"""From JSON to records."""
