"""Rule plot_grid: tables to the pictures of all cases together."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.plots.grid_bars import energy, stage_times
from wanbench.plots.picture import save
from wanbench.plots.time_memory import time_memory

cases, stages = (pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages"))
pictures = {
    "stage_times": stage_times(cases, stages),
    "time_memory": time_memory(cases, snakemake.params.alike_memory_pct, snakemake.params.alike_generation_pct),
    "energy": energy(cases, stages),
}
save(pictures, None, Path(snakemake.output.words).parent)
