"""What runs the network forward: an interface, the choice of an engine, and a package per engine."""
