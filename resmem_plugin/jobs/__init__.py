"""Resumable scoring jobs, from inputs to outputs; the command line prints what they report."""
