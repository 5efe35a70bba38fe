"""Rule plot_case: a trace to the pictures of its case."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.report.collect import Expected
from wanbench.report.plots.case import case_pictures
from wanbench.report.plots.picture import save
from wanbench.rule_log import open_log
from wanbench.trace.verdict import Limits

sys.stderr = open_log(snakemake.log[0])

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
pictures = case_pictures(Path(snakemake.input.trace), expected, Limits(**snakemake.params.limits))
save(pictures, snakemake.wildcards.case, Path(snakemake.output.words).parent)
