"""Paid pages on disk until a later run's state shows that they arrived."""
