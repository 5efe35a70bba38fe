"""The sampler process and its sources. Imports neither torch nor pandas."""
