"""The ways to run the network forward, one file each."""
