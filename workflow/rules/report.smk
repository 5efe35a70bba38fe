TABLES = ["cases", "stages", "details", "excluded", "fidelity", "kernels", "longest_kernels"]
JUDGED = ["findings", "settings"]


rule tabulate:
    input:
        unpack(tabulated),
    output:
        csv=[shown(f"{{folder}}/tables/{table}.csv", "Tables", table=table) for table in TABLES],
        parquet=expand("{{folder}}/tables/{table}.parquet", table=TABLES),
    log:
        "logs/{folder}/tabulate.log",
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        **made_with("tabulate_traces.py"),
        of_grid=of_grid,
        limits=LIMITS,
    script:
        "../scripts/tabulate_traces.py"


rule report:
    input:
        **{table: f"{{folder}}/tables/{table}.parquet" for table in TABLES},
    output:
        report="{folder}/report.md",
        csv=[shown(f"{{folder}}/tables/{table}.csv", "Tables", table=table) for table in JUDGED],
        parquet=expand("{{folder}}/tables/{table}.parquet", table=JUDGED),
    log:
        "logs/{folder}/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("write_report.py"),
        thresholds=THRESHOLDS,
        prices=PRICES,
    script:
        "../scripts/write_report.py"


rule page:
    input:
        **{table: f"{{folder}}/tables/{table}.parquet" for table in TABLES + JUDGED},
        traces=traces,
    output:
        page=shown("{folder}/report.html", "Report", report="all cases"),
        svg=[
            shown(f"{{folder}}/plots/{name}.svg", "All cases", picture=name)
            for name in ("stage_times", "time_memory", "energy")
        ],
        cases=report(
            directory("{folder}/plots/cases"),
            "../report/case_pictures.rst",
            "Cases",
            labels={"case": "{case}", "picture": "{picture}"},
            patterns=["{case}/{picture}.svg"],
        ),
    log:
        "logs/{folder}/page.log",
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        **made_with("write_page.py"),
        thresholds=THRESHOLDS,
        prices=PRICES,
    script:
        "../scripts/write_page.py"


rule outcome:
    input:
        **{table: f"results/tables/{table}.parquet" for table in ("cases", "excluded", "findings")},
        # The report is made before a failed case can end the run.
        report="results/report.md",
        page="results/report.html",
    output:
        "results/outcome.json",
    log:
        "logs/results/outcome.log",
    # It fails when a case did, and would again.
    retries: 0
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("check_outcome.py"),
        # No text, in which Snakemake would take braces for wildcards.
        grid=Path(GRID_FILE),
    script:
        "../scripts/check_outcome.py"
