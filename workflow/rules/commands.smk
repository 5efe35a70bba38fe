# Commands have no output, so that each call answers anew.
rule plan:
    log:
        "logs/plan.log",
    conda:
        "../../envs/measure.yaml"
    params:
        cases=[case.settings() for case in CASES.values()],
    script:
        "../scripts/print_plan.py"


rule predict:
    log:
        "logs/predict.log",
    conda:
        "../../envs/measure.yaml"
    params:
        cases=[case.settings() for case in CASES.values()],
        gpu=asked_gpu,
        prices=PRICES,
    script:
        "../scripts/print_prediction.py"


rule compare:
    input:
        **{table: f"results/tables/{table}.parquet" for table in ("cases", "excluded")},
        traces=compared_traces,
        # Cases may have been measured for it, which a report that stays as it was would not tell.
        report="results/report.md",
    log:
        "logs/results/compare.log",
    retries: 0
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        baseline=Path(str(OPTIONS.get("baseline", ""))),
        baseline_files=BASELINE_FILES,
        limits=LIMITS,
        busy_machine_pct=THRESHOLDS["busy_machine_pct"],
    script:
        "../scripts/compare_runs.py"


# No GPU of its own: its trials take one. What it has learnt stands on the disk: the next run goes on.
rule tune:
    log:
        "logs/results/tune.log",
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
