"""Scoring itself: images, network, engines, cache. It knows torch, Pillow and numpy, and no front end."""
