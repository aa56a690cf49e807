"""The contract check: what the tap assumes about the Jobo API, tried against an API."""
