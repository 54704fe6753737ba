"""HTML reports of scores."""
