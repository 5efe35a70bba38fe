"""Rule tabulate: traces to typed tables."""

import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.analysis.collect import Expected, collect, not_of_the_grid, without_trace
from wanbench.analysis.tables import excluded_table, tables_of, write_table
from wanbench.trace.verdict import Limits
from wanbench.util.rule_log import open_log

sys.stderr = open_log(snakemake.log[0])

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
limits = Limits(**snakemake.params.limits)
files = [Path(file) for file in snakemake.input.traces]
traces, excluded = collect(files, expected, limits, snakemake.threads)
excluded += not_of_the_grid(snakemake.params.others) + without_trace(*snakemake.params.without_trace)
tables = tables_of(traces)
all_tables = [tables.cases, tables.stages, tables.details, excluded_table(excluded)]
for table, csv, parquet in zip(all_tables, snakemake.output.csv, snakemake.output.parquet):
    write_table(table, Path(csv), Path(parquet))
