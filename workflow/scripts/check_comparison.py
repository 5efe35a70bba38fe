"""Rule compare: the run as a whole fails when a case is worse, a trace could not be used or nothing was compared."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.report.render import rendered

comparison = json.loads(Path(snakemake.input.json).read_text("utf-8"))
errors = rendered("comparison_errors.j2", **comparison).strip()
Path(snakemake.log[0]).write_text(errors and f"{errors}\n", "utf-8")
markdown, as_json, report = snakemake.input
print(f"The comparison: {markdown}, {as_json}")
print(f"The report: {report}")
print(rendered("comparison_end.j2", **comparison).strip())
if errors:
    sys.exit(f"The comparison {markdown} is complete, but:\n{errors}")
