"""Rule plots: tables and traces to the pictures of each case, and of all cases together."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.analysis.tables import records_by_case
from wanbench.plots.case_pictures import draw_case
from wanbench.plots.grid_bars import energy, stage_times
from wanbench.plots.picture import save
from wanbench.plots.time_memory import time_memory
from wanbench.util.lifeline import map_in_processes

tables = ("cases", "stages", "settings", "kernels")
cases, stages, settings, kernels = (pd.read_parquet(snakemake.input[name]) for name in tables)
rows = [rows[0] for rows in records_by_case(cases).values()]
stages_of, kernels_of, names = records_by_case(stages), records_by_case(kernels), list(cases["case"])
trace_of = {case_of(Path(file)): Path(file) for file in snakemake.input.traces}
folder = Path(snakemake.output.cases)
folder.mkdir(parents=True)
map_in_processes(
    draw_case,
    rows,
    [stages_of.get(name, []) for name in names],
    [kernels_of.get(name, []) for name in names],
    [trace_of[name] for name in names],
    [folder / name for name in names],
    [folder.parents[1] / "frames"] * len(names),
    processes=snakemake.threads,
)
pictures = {"stage_times": stage_times(cases, stages), "time_memory": time_memory(settings)}
pictures["energy"] = energy(cases, stages)
save(pictures, Path(snakemake.output.words).parent)
