"""Rule checkpoint: a folder of random weights, to be measured with `weights: pretrained` and `checkpoint: FOLDER`."""

import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/measure.yaml", snakemake.config, snakemake.log[0])

from wanbench.measure.gpu_slots import process_slot
from wanbench.util.errors import InputError

try:
    with process_slot(snakemake.wildcards.model):
        from wanbench.measure.wan.build import write_checkpoint

        write_checkpoint(snakemake.wildcards.model, snakemake.wildcards.scale, Path(snakemake.output[0]))
except InputError as error:
    sys.exit(str(error))
