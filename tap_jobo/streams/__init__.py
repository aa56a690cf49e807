"""The declaration and schema of each stream."""
