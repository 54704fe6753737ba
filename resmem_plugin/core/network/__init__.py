"""The ResMem network and its published weights."""
