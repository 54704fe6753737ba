"""The pandas accessor `df.resmem`: scores a column of images, ranks rows, shows galleries and histograms."""
