"""Singer tap for the Jobo API: a directory of career sites, kept current."""
