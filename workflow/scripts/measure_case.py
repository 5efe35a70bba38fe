"""Rule measure: one attempt at a case. A case that fails leaves a trace too, so the rule succeeds."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

conda_env = enter_job("envs/measure.yaml", snakemake.config)

from wanbench.cases.case import Case, case_sha256
from wanbench.errors import InputError
from wanbench.measure.supervisor import Places, supervise

trace = Path(snakemake.output.trace)
results = trace.parents[1]
case = Case.from_settings(dict(snakemake.params.case))
places = Places(
    trace=trace,
    log=Path(snakemake.log[0]),
    video=results / "videos" / f"{case.name}.mp4",
    work=results / "work" / case.name,
    results=results,
)
digests = {
    "case_sha256": case_sha256(case.settings()),
    "measure": snakemake.params.measure_digest,
    "env": snakemake.params.env_digest,
}
try:
    supervise(case, places, digests, conda_env)
except InputError:
    # The terminal and the log have its message.
    sys.exit(1)
