# Where the project lies, and whose it is: another user of a checkout gets one line, and dry runs.

import atexit
import shutil
from contextlib import suppress

from wanbench.cases.messages import of_unwritable
from wanbench.util.paths import temporary_folder, unwritable

RECORDS = Path(".snakemake").absolute()
# Of thousands of jobs both need no more.
LEAST_FREE_BYTES = 1_000_000

if {"{", "}"} & set(str(workflow.basedir)):
    refuse(
        f"{workflow.basedir}: Snakemake takes braces in the path of a project for wildcards; allowed: without braces"
    )
# Where Snakemake itself would end with a traceback, even in a dry run.
if not (RECORDS / "locks").is_dir() and unwritable([".snakemake"]):
    refuse(of_unwritable([".snakemake"]))
# Snakemake's records lie in the one. The solver of its scheduler writes to the other, also where Python takes another
# folder since this one is full.
for folder, instead in ((".", "--directory"), (temporary_folder(), "TMPDIR")):
    if os.path.isdir(folder) and shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        refuse(f"{os.path.abspath(folder)}: no space left on its disk; allowed: room there, or another {instead}")
if any(not os.access(file, os.R_OK) for file in RECORDS.glob("metadata/*")):
    refuse(of_unwritable([".snakemake/metadata"]))


def check_writable():
    """Where functions of rules are called, it is known whether this is a dry run, which writes next to nothing."""
    folders = unwritable([".snakemake", "results", "logs"])
    if folders and not workflow.dryrun:
        refuse(of_unwritable(folders))
    if folders:
        # An internal of Snakemake, which would keep there what a dry run saw of files.
        workflow.persistence.iocache_path = str(workflow.snakemake_tmp_dir)


# Not in onsuccess: after that, Snakemake deletes the folder of locks.
@atexit.register
def share_records():
    """Leave what a dry run of those who may not write here reads: of it, Snakemake lets others read nothing."""
    umask = os.umask(0)
    os.umask(umask)
    with suppress(OSError):
        if RECORDS.is_dir():
            (RECORDS / "locks").mkdir(exist_ok=True)
        for file in RECORDS.glob("metadata/**/*"):
            file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)
