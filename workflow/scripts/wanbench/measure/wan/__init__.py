"""The stock diffusers Wan pipelines: made, set up, observed and run. Nothing of them is replaced."""

from wanbench.measure.cuda12 import load_cuda12_runtime

# Before diffusers imports xformers.
load_cuda12_runtime()
