"""From references to images to scores: options, the scorer and its pipeline."""
