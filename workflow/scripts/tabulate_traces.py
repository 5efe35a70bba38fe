"""Rule tabulate: traces, kept frames and kernel profiles to typed tables."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.analysis.collect import Excluded, case_of, collect, not_of_the_grid
from wanbench.analysis.fidelity import fidelity_table
from wanbench.analysis.kernels import kernels_table, longest_kernels_table, profiles_of
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
if grid := snakemake.input.get("grid"):
    missing = set(case_names(read_yaml(Path(grid)), grid)).difference(map(case_of, files))
    reason = f"{grid} has this case, and there is no trace of it: it was not measured"
    excluded += [Excluded(case, reason) for case in sorted(missing)]
# Of traces that are kept nobody has the frames: where they were measured, their figures were kept with them.
kept = snakemake.input.get("fidelity")
frames = Path(snakemake.wildcards.folder, "frames")
fidelity = read_table(Path(kept), FIDELITY_COLUMNS) if kept else fidelity_table(traces, frames, snakemake.threads)
tables = tables_of(traces)
profiles = profiles_of([Path(file) for file in snakemake.input.profiles], expected and expected["case_sha256"])
all_tables = [with_fidelity(tables.cases, fidelity), tables.stages, tables.details, excluded_table(excluded), fidelity]
all_tables += [kernels_table(profiles), longest_kernels_table(profiles)]
for table, csv, parquet in zip(all_tables, snakemake.output.csv, snakemake.output.parquet, strict=True):
    write_table(table, Path(csv), Path(parquet))
