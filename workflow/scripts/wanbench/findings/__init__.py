"""What the figures of a case say: rules as data, by topic, and the list of them all in `registry`."""
