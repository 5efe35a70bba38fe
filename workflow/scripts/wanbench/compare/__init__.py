"""A run beside an earlier one: what got slower, and what cannot be said."""
