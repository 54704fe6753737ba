"""The pandas accessor `df.resmem`."""
