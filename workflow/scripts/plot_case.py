"""Rule plot_case: a trace to the pictures of its case."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.report.collect import Expected
from wanbench.report.plots.case import case_pictures
from wanbench.report.plots.picture import save

sys.stderr = open(snakemake.log[0], "w", encoding="utf-8", buffering=1)

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
pictures = case_pictures(Path(snakemake.input.trace), expected)
save(pictures, snakemake.wildcards.case, Path(snakemake.output.words).parent)
