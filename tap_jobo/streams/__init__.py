"""What each stream is: its declaration and its schema."""
