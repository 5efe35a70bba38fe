"""Rule videos: the videos of the cases that made one, in a folder that is an output."""

import sys
from pathlib import Path
from shutil import copyfile

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

from wanbench.registry.stages import OK
from wanbench.trace.reader import read_trace
from wanbench.util.errors import InputError

gallery = Path(snakemake.output[0])
gallery.mkdir(parents=True)
for trace in map(Path, snakemake.input):
    video = trace.parents[1] / "videos" / f"{trace.stem}.mp4"
    try:
        ended_well = read_trace(trace).status == OK
    except InputError as error:
        print(error, file=sys.stderr)
        continue
    if ended_well and video.exists():
        copyfile(video, gallery / video.name)
