"""Rule compare: the run as a whole fails when a case is worse, a trace could not be used or nothing was compared."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.compare.export import ending, errors_of

comparison = json.loads(Path(snakemake.input.json).read_text("utf-8"))
errors = errors_of(comparison)
Path(snakemake.log[0]).write_text("".join(f"{line}\n" for lines in errors.values() for line in lines), "utf-8")
markdown, as_json, report = snakemake.input
print(f"The comparison: {markdown}, {as_json}")
print(f"The report: {report}")
print("\n".join(ending(comparison)))
if errors:
    parts = ["\n".join([f"{what}:", *lines]) for what, lines in errors.items()]
    sys.exit(f"The comparison {markdown} is complete, " + "\n\n".join(parts))
