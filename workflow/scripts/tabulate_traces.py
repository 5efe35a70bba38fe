"""Rule tabulate: traces to typed tables."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.report.collect import Expected, collect, not_of_the_grid, without_trace
from wanbench.report.tables import cases_table, details_table, left_out_table, stages_table, write_table
from wanbench.rule_log import open_log
from wanbench.trace.verdict import Limits

sys.stderr = open_log(snakemake.log[0])

expected = Expected(**snakemake.params.expected) if snakemake.params.expected else None
limits = Limits(**snakemake.params.limits)
traces, left_out = collect([Path(file) for file in snakemake.input.traces], expected, limits, snakemake.threads)
left_out += not_of_the_grid(snakemake.params.others) + without_trace(*snakemake.params.without_trace)
tables = [cases_table(traces), stages_table(traces), details_table(traces), left_out_table(left_out)]
for table, csv, parquet in zip(tables, snakemake.output.csv, snakemake.output.parquet):
    write_table(table, Path(csv), Path(parquet))
