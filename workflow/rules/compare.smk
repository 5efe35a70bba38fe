# snakemake compare --config baseline=PATH


# No output, so that it says every time what is worse or could not be compared.
rule compare:
    input:
        **{table: f"results/tables/{table}.parquet" for table in ("cases", "excluded")},
        traces=compared_traces,
        # Cases may have been measured for it, which a report that stays as it was would not tell.
        report="results/report.md",
    log:
        "logs/results/compare.log",
    # It fails when a case got worse or a trace could not be used, and would again.
    retries: 0
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        # A path, since Snakemake takes braces in a text for wildcards.
        baseline=Path(str(OPTIONS.get("baseline", ""))),
        baseline_files=BASELINE_FILES,
        limits=LIMITS,
        busy_machine_pct=THRESHOLDS["busy_machine_pct"],
    script:
        "../scripts/compare_runs.py"
