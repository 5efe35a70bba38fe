"""Several GPUs for one case: diffusers' context parallelism (Ulysses), and the process group that it needs.

Every rank is a process that builds the whole pipeline and runs the same generations. Of each pass of a denoiser it
computes its part of the tokens, and in attention its part of the heads; text encoding and VAE decoding it does alone.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

# Ranks are on one host. By its name, which need not resolve, gloo and NCCL would look for it on the network.
_INTERFACE = "lo"


@dataclass(frozen=True)
class Ranks:
    """The processes of a case, as one of them sees them.

    They wait for each other on the host: NCCL's own barrier keeps GPUs busy, and what one rank does alone (the export)
    would cost the energy of all. A case in a single process has no `store`, and waits for nobody.
    """

    rank: int
    count: int
    store: dist.Store | None

    def meet(self, place: str) -> None:
        """Wait until every rank has come here and its GPU has done what it was given."""
        if self.store is not None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.store.set(f"{place}/{self.rank}", "")
            self.store.wait([f"{place}/{rank}" for rank in range(self.count)])

    def follow(self, place: str) -> None:
        """Wait until rank 0 has come here; that one never waits."""
        if self.store is not None:
            if self.rank == 0:
                self.store.set(place, "")
            self.store.wait([place])

    def part(self) -> None:
        """End the process group, when rank 0 does."""
        if self.store is not None:
            # Together: NCCL may wait for the others of a group that is ended.
            self.follow("parting")
            dist.destroy_process_group()


ALONE = Ranks(0, 1, None)


def join_ranks(rank: int, count: int, rendezvous: Path, device: torch.device, patience_s: float) -> Ranks:
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
    patience = timedelta(seconds=patience_s)
    store = dist.FileStore(str(rendezvous.absolute()), count)
    store.set_timeout(patience)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=dist.PrefixStore("group", store),
        rank=rank,
        world_size=count,
        timeout=patience,
        # Connects now, and not in the first step.
        device_id=torch.device("cuda", 0) if on_gpu else None,
    )
    return Ranks(rank, count, dist.PrefixStore("case", store))


def enable_context_parallel(transformer: nn.Module, count: int, device: torch.device) -> None:
    """Spread the denoiser's passes over the ranks. Its attention backend must be set before."""
    mesh = init_device_mesh(device.type, (1, count), mesh_dim_names=("ring", "ulysses"))
    # Diffusers divides by the number of accelerators, of which there may be none.
    devices = max(1, torch.accelerator.device_count())
    with patch.object(torch.accelerator, "device_count", lambda: devices):
        transformer.enable_parallelism(config=ContextParallelConfig(ulysses_degree=count, mesh=mesh))


def parallel_degree(transformer: nn.Module) -> int:
    """Number of ranks that the denoiser's passes are spread over, as it says."""
    config = transformer._parallel_config
    return config.context_parallel_config.ulysses_degree if config else 1
