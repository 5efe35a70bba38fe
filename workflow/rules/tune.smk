# snakemake tune --cores 1 --config model=T2V-A14B 'size=832*480' gpu_memory_gb=24


# No output, so that it goes on each time, and no GPU of its own: its trials take one.
rule tune:
    log:
        "logs/results/tune.log",
    # What it has learnt stands on the disk: the next run goes on.
    retries: 0
    conda:
        "../../envs/report.yaml"
    params:
        options=tune_options,
        command=[sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", workflow.main_snakefile],
        # An internal of Snakemake.
        conda_prefix=Path(workflow.deployment_settings.conda_prefix or RECORDS / "conda").absolute(),
        limits=LIMITS,
    script:
        "../scripts/tune.py"
