"""What the figures of a case say: rules by topic, and the list of them all in `rules`."""
