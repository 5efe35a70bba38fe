TABLES = ["cases", "stages", "details", "excluded"]
PICTURES = ["stage_times", "time_memory", "energy"]


rule tabulate:
    input:
        traces=traces,
        grid=grid_of_kept,
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
        findings_csv=shown("{folder}/tables/findings.csv", "Tables", table="findings"),
        findings="{folder}/tables/findings.parquet",
    log:
        "logs/{folder}/report.log",
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("write_report.py"),
        thresholds=THRESHOLDS,
    script:
        "../scripts/write_report.py"


rule plots:
    input:
        cases="{folder}/tables/cases.parquet",
        stages="{folder}/tables/stages.parquet",
        traces=traces,
    output:
        svg=[shown(f"{{folder}}/plots/{name}.svg", "All cases", picture=name) for name in PICTURES],
        png=expand("{{folder}}/plots/{picture}.png", picture=PICTURES),
        words="{folder}/plots/pictures.json",
        cases=report(
            directory("{folder}/plots/cases"),
            "../report/case_pictures.rst",
            "Cases",
            labels={"case": "{case}", "picture": "{picture}"},
            patterns=["{case}/{picture}.svg"],
        ),
    log:
        "logs/{folder}/plots.log",
    conda:
        "../../envs/report.yaml"
    threads: 4
    params:
        **made_with("draw_plots.py"),
        alike_memory_pct=THRESHOLDS["no_effect_memory_pct"],
        alike_generation_pct=THRESHOLDS["alike_generation_pct"],
    script:
        "../scripts/draw_plots.py"


rule page:
    input:
        **{table: f"{{folder}}/tables/{table}.parquet" for table in [*TABLES, "findings"]},
        traces=traces,
        pictures=["{folder}/plots/pictures.json", "{folder}/plots/cases"],
    output:
        shown("{folder}/report.html", "Report", report="all cases"),
    log:
        "logs/{folder}/page.log",
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("write_page.py"),
        thresholds=THRESHOLDS,
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
        grid=GRID_FILE,
    script:
        "../scripts/check_outcome.py"
