"""Several GPUs for one case: diffusers' context parallelism (Ulysses), and the process group that it needs.

Every rank is a process that builds the whole pipeline and runs the same generations. Of each pass of a denoiser it
computes its part of the tokens, and in attention its part of the heads; text encoding and VAE decoding it does all by
itself, as with torchrun and the stock pipeline.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

# Ranks are on one host. By its name, which need not resolve, gloo and NCCL would look for it on the network.
_INTERFACE = "lo"


def join_ranks(rank: int, count: int, rendezvous: Path, device: torch.device, patience_s: float) -> None:
    """Meet the other ranks of the case; returns when all are there.

    Args:
        rendezvous: a file that no attempt before has used.
        patience_s: how long one rank may keep the others waiting. Whether it still lives, the supervisor knows sooner.
    """
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, _INTERFACE)
    on_gpu = device.type == "cuda"
    if on_gpu:
        # The first GPU that a rank sees is its own.
        torch.cuda.set_device(0)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=dist.FileStore(str(rendezvous.absolute()), count),
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=patience_s),
        # Connects now, and not in the first step.
        device_id=torch.device("cuda", 0) if on_gpu else None,
    )


def wait_for_ranks() -> None:
    """Wait until every rank has come here; nothing for a case on one GPU."""
    if dist.is_initialized():
        dist.barrier()


def part_from_ranks() -> None:
    """End the process group, at the end of all ranks' work; nothing for a case on one GPU."""
    if dist.is_initialized():
        # Together: NCCL may wait for the others of a group that is ended.
        dist.barrier()
        dist.destroy_process_group()


def enable_context_parallel(transformer: nn.Module, count: int, device: torch.device) -> None:
    """Spread the denoiser's passes over the ranks. Its attention backend must be set before."""
    mesh = init_device_mesh(device.type, (1, count), mesh_dim_names=("ring", "ulysses"))
    with _countable_devices():
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=count, mesh=mesh))


def parallel_degree(transformers: Sequence[nn.Module]) -> int | str:
    """Number of ranks that the denoisers' passes are spread over, as they say; all numbers where they differ."""
    degrees = sorted({_degree(transformer) for transformer in transformers})
    return degrees[0] if len(degrees) == 1 else "/".join(map(str, degrees))


def _degree(transformer: nn.Module) -> int:
    config = transformer._parallel_config
    return 1 if config is None else config.context_parallel_config.ulysses_degree


@contextmanager
def _countable_devices() -> Iterator[None]:
    """Let diffusers divide by the number of accelerators where there is none."""
    count = torch.accelerator.device_count
    if count() == 0:
        torch.accelerator.device_count = lambda: 1
    try:
        yield
    finally:
        torch.accelerator.device_count = count
