"""Rule fidelity: kept latents and frames to what settings do to a video."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.analysis.collect import collect
from wanbench.analysis.fidelity import fidelity_table
from wanbench.analysis.tables import write_table
from wanbench.trace.verdict import Limits

files = [Path(file) for file in snakemake.input]
limits = Limits(**snakemake.params.limits)
traces, _ = collect(files, snakemake.config["expected"], limits, snakemake.threads)
table = fidelity_table(traces, Path("results/frames"), snakemake.threads)
write_table(table, Path(snakemake.output.csv), Path(snakemake.output.parquet))
