"""Rule checkpoint: a folder of random weights, to be measured with `weights: pretrained` and `checkpoint: FOLDER`."""

import os
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/measure.yaml", snakemake.config, snakemake.log[0])

from wanbench.measure.gpu_slots import own_slot
from wanbench.telemetry.gpus import usable_gpus
from wanbench.util.errors import InputError


def tell(line):
    print(f"[{snakemake.wildcards.model}] {line}", file=sys.stderr)
    print(f"[{snakemake.wildcards.model}] {line}", file=sys.__stderr__)


try:
    with own_slot(usable_gpus(os.environ), 1, tell) as slot:
        os.environ |= slot.environment()
        # CUDA reads the variable once, and an import may be what first asks for a GPU.
        from wanbench.measure.wan.build import write_checkpoint

        write_checkpoint(snakemake.wildcards.model, snakemake.wildcards.scale, Path(snakemake.output[0]))
except InputError as error:
    sys.exit(str(error))
