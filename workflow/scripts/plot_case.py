"""Rule plot_case: a trace to the pictures of its case."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.analysis.collect import Expected
from wanbench.plots.case_pictures import case_pictures
from wanbench.plots.picture import save
from wanbench.trace.verdict import Limits

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
pictures = case_pictures(Path(snakemake.input.trace), expected, Limits(**snakemake.params.limits))
save(pictures, snakemake.wildcards.case, Path(snakemake.output.words).parent)
