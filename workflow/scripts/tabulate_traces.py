"""Rule tabulate: traces to typed tables."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.analysis.collect import Excluded, case_of, collect, not_of_the_grid
from wanbench.analysis.tables import excluded_table, read_table, tables_of, with_fidelity, write_table
from wanbench.cases.resolve import case_names
from wanbench.cases.yaml_file import read_yaml
from wanbench.registry.metrics import FIDELITY_COLUMNS
from wanbench.trace.verdict import Limits

of_grid = snakemake.params.of_grid
expected = snakemake.config["expected"] if of_grid else None
limits = Limits(**snakemake.params.limits)
files = [Path(file) for file in snakemake.input.traces]
traces, excluded = collect(files, expected, limits, snakemake.threads)
excluded += not_of_the_grid(of_grid["others"] if of_grid else [])
for grid in snakemake.input.get("grid", []):
    missing = set(case_names(read_yaml(Path(grid)), grid)).difference(map(case_of, files))
    reason = f"{grid} has this case, and there is no trace of it: it was not measured"
    excluded += [Excluded(case, reason) for case in sorted(missing)]
tables = tables_of(traces)
cases = tables.cases
for file in snakemake.input.get("fidelity", []):
    cases = with_fidelity(cases, read_table(Path(file), FIDELITY_COLUMNS))
all_tables = [cases, tables.stages, tables.details, excluded_table(excluded)]
for table, csv, parquet in zip(all_tables, snakemake.output.csv, snakemake.output.parquet):
    write_table(table, Path(csv), Path(parquet))
