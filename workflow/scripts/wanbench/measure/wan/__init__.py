"""The stock diffusers Wan pipelines: made, set up, observed and run. Nothing of them is replaced."""
