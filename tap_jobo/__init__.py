"""Singer tap for the Jobo API: keeps career sites, companies, and jobs current."""
