"""What is read from and written to a FiftyOne dataset."""
