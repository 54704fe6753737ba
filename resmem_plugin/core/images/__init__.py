"""From a reference to an image to the network's input."""
