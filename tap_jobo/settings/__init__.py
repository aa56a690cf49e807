"""What a user can set, what is allowed, and where it is read from."""
