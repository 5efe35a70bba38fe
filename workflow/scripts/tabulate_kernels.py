"""Rule tabulate_kernels: kernel profiles to tables; those of another state of a case are passed over."""

import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.analysis.collect import case_of
from wanbench.analysis.kernels import kernels_table, longest_kernels_table, read_profile
from wanbench.analysis.tables import write_table

profiles = [(case_of(Path(file)), read_profile(Path(file))) for file in snakemake.input.profiles]
expected = snakemake.config["expected"]["case_sha256"] if snakemake.wildcards.folder == "results" else {}
stale = {case for case, profile in profiles if expected.get(case, profile["case_sha256"]) != profile["case_sha256"]}
for case in sorted(stale):
    print(f"results/kernels/{case}.json is of other settings; snakemake kernels makes it again", file=sys.stderr)
used = [(case, profile) for case, profile in profiles if case not in stale]
tables = (kernels_table(used), longest_kernels_table(used))
for table, csv, parquet in zip(tables, snakemake.output.csv, snakemake.output.parquet):
    write_table(table, Path(csv), Path(parquet))
