"""Reading from and writing to a FiftyOne dataset."""
