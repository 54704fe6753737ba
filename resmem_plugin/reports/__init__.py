"""HTML made of scores."""
