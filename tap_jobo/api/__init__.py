"""HTTP: requests to Jobo, retries, rate limits, the budget, pages, and profiles."""
