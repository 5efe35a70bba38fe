"""Measure Wan2.2 video generation and report what was measured. Knows nothing of Snakemake."""
