"""Rule checkpoint: a folder of random weights, to be measured with `weights: pretrained` and `checkpoint: FOLDER`."""

import sys
from pathlib import Path

from wanbench.conda import enter_environment

enter_environment("envs/measure.yaml", snakemake.config["software_deployment"])

from wanbench.measure.wan.checkpoint import write_checkpoint

sys.stderr = open(snakemake.log[0], "w", encoding="utf-8", buffering=1)

write_checkpoint(snakemake.wildcards.model, snakemake.wildcards.scale, Path(snakemake.output[0]))
