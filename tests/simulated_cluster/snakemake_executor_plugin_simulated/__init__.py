"""`--executor simulated`: a cluster whose jobs run Snakemake again on this machine, one after the other."""

import subprocess
from collections.abc import AsyncGenerator

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)


class Executor(RemoteExecutor):
    def run_job(self, job: JobExecutorInterface) -> None:
        done = subprocess.run(["bash", "-c", self.format_job_exec(job)])
        self.report_job_submission(SubmittedJobInfo(job, aux={"failed": done.returncode != 0}))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            report = self.report_job_error if info.aux["failed"] else self.report_job_success
            report(info)
        return
        yield

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        pass
