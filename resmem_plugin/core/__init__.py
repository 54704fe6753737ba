"""The ground floor: knows torch, Pillow and numpy, and no front end."""
