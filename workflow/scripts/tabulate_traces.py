"""Rule tabulate: traces to typed tables."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.report.collect import Expected, made_of_parts, not_of_the_grid, without_trace
from wanbench.report.tables import joined, left_out_table, tables_of, write_table
from wanbench.rule_log import open_log
from wanbench.trace.verdict import Limits

sys.stderr = open_log(snakemake.log[0])

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
limits = Limits(**snakemake.params.limits)
files = [Path(file) for file in snakemake.input.traces]
parts, left_out = made_of_parts(tables_of, files, expected, limits, snakemake.threads)
left_out += not_of_the_grid(snakemake.params.others) + without_trace(*snakemake.params.without_trace)
tables = joined(parts)
all_tables = [tables.cases, tables.stages, tables.details, left_out_table(left_out)]
for table, csv, parquet in zip(all_tables, snakemake.output.csv, snakemake.output.parquet):
    write_table(table, Path(csv), Path(parquet))
