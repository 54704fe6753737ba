"""What a command does from its inputs to its outputs: resumable, and without a terminal."""
