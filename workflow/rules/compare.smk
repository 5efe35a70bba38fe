# snakemake compare --config baseline=PATH

from wanbench.compare.baseline import baseline_digest


rule comparison:
    input:
        **{table: f"results/tables/{table}.parquet" for table in ("cases", "excluded")},
        traces=compared_traces,
    output:
        markdown="results/comparison.md",
        json="results/comparison.json",
        csv="results/tables/comparison.csv",
        parquet="results/tables/comparison.parquet",
    log:
        "logs/results/comparison.log",
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        **made_with("compare_runs.py"),
        # Not inputs: a copy's dates say nothing. Paths, since Snakemake takes braces in a text for wildcards.
        baseline=Path(str(OPTIONS.get("baseline", ""))),
        baseline_files=BASELINE_FILES,
        baseline_digest=baseline_digest(BASELINE_FILES),
        limits=LIMITS,
        busy_machine_pct=THRESHOLDS["busy_machine_pct"],
    script:
        "../scripts/compare_runs.py"


# No output, so that it says every time what is worse or could not be compared.
rule compare:
    input:
        # The comparison is made before what it says can end the run.
        markdown="results/comparison.md",
        json="results/comparison.json",
        # Cases may have been measured for it, which a report that stays as it was would not tell.
        report="results/report.md",
    log:
        "logs/results/compare.log",
    # It fails when a case got worse or a trace could not be used, and would again.
    retries: 0
    conda:
        "../../envs/report.yaml"
    script:
        "../scripts/check_comparison.py"
