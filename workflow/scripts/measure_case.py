"""Rule measure: one attempt at a case. A case that fails leaves a trace too, so the rule succeeds.

Where even that was impossible, the rule fails, and Snakemake's second try writes the trace of the first.
"""

import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

conda_env = enter_job("envs/measure.yaml", snakemake.config)

from wanbench.cases.case import Case, case_sha256
from wanbench.estimate.resources import limit_s
from wanbench.measure.attempt import Attempt
from wanbench.measure.finalize import recover
from wanbench.measure.supervisor import supervise
from wanbench.trace.verdict import Limits

name = snakemake.wildcards.case
case = Case.from_identity(name, dict(snakemake.params.case), snakemake.config["places"][name])
digests = {"measure": snakemake.params.measure_digest, "env": snakemake.params.env_digest}
digests["case_sha256"] = case_sha256(case)
trace, log, limits = Path(snakemake.output.trace), Path(snakemake.log[0]), Limits(**snakemake.config["limits"])
# No setting, since it measures nothing.
keep_frames = snakemake.config.get("keep_frames", True)
attempt = Attempt(case, trace, log, digests, limits, snakemake.config["run_id"], keep_frames)
job_limit_s = limit_s(snakemake.resources.runtime) if snakemake.config["job_ends_in_time"] else None
try:
    if snakemake.resources.attempt == 1:
        supervise(attempt, conda_env, job_limit_s)
    else:
        recover(attempt)
except OSError as error:
    sys.exit(f"[{case.name}] no trace of this attempt: {error}")
