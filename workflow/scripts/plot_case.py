"""Rule plot_case: a trace to the pictures of its case."""

import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.analysis.collect import Expected
from wanbench.plots.case_pictures import case_pictures
from wanbench.plots.picture import save
from wanbench.trace.verdict import Limits
from wanbench.util.rule_log import open_log

sys.stderr = open_log(snakemake.log[0])

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
pictures = case_pictures(Path(snakemake.input.trace), expected, Limits(**snakemake.params.limits))
save(pictures, snakemake.wildcards.case, Path(snakemake.output.words).parent)
