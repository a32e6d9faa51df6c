"""How fast the post's model is on this machine. A package, so that `plain` and `speed` are names of its own."""
