"""Traces become tables; everything else reads those."""
