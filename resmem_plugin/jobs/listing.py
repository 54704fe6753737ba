"""Lists the images in folders, archives and prefixes, and what was left out."""
