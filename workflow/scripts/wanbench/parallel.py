"""What goes together with several GPUs for one case: diffusers' context parallelism allows it, and it was tried."""

# `_AttentionBackendRegistry._supports_context_parallel` of diffusers, of the backends that a case may name.
PARALLEL_ATTENTION = (
    "native",
    "_native_cudnn",
    "_native_flash",
    "flash",
    "flash_hub",
    "_flash_3_hub",
    "sage",
    "sage_hub",
)
# With hooks on every layer a GPU waits for the slowest copy of all GPUs at each layer, and whether copies on streams of
# their own keep clear of NCCL's was never seen on several GPUs.
PARALLEL_OFFLOAD = ("none", "model")
