"""The tap's settings: what they are, what they allow, and where they are read from."""
