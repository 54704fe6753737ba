"""Scores and converted weights kept between runs."""
