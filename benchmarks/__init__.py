"""Speed and memory, side by side with upstream: `make bench`."""
