# {folder} is `results`, or results/reference/MACHINE with traces that were measured elsewhere and are kept.

TABLES = ["cases", "stages", "details", "excluded"]
CASE_TRACES = expand("results/traces/{case}.json", case=CASES)


def made_with(script):
    return {"code_digest": code_digest(SCRIPTS / script), "env_digest": REPORT_ENV}


def shown(file, category, patterns=(), **labels):
    """A file for `snakemake --report`, with the caption of its name."""
    return report(file, f"../report/{Path(file).stem}.rst", category, labels=labels, patterns=list(patterns))


def traces(wildcards):
    if wildcards.folder == "results":
        return CASE_TRACES
    kept = sorted(str(file) for file in Path(wildcards.folder, "traces").glob("*.json.gz"))
    if not kept:
        refuse(f"{wildcards.folder}/traces: no traces; allowed: a folder with *.json.gz files")
    return kept


def grid_of_kept(wildcards):
    """The grid file beside kept traces, where there is one: it may have cases without any."""
    file = Path(wildcards.folder, "grid.yaml")
    return [str(file)] if wildcards.folder != "results" and file.exists() else []


def pictures(wildcards):
    cases = [Path(trace).name.removesuffix(".gz").removesuffix(".json") for trace in traces(wildcards)]
    return [f"{wildcards.folder}/plots/{part}pictures.json" for part in ["", *(f"{case}/" for case in cases)]]


def of_grid(wildcards):
    """What traces must have been measured with, and those of no case; None for traces that stand for themselves."""
    return {"expected": value_digest(EXPECTED), "others": OTHER_TRACES} if wildcards.folder == "results" else None


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


rule page:
    input:
        **{table: f"{{folder}}/tables/{table}.parquet" for table in [*TABLES, "findings"]},
        traces=traces,
        pictures=pictures,
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


# Only for `snakemake --report`, which shows outputs: a case that fails makes no video, so its rule cannot promise one.
rule gallery:
    input:
        CASE_TRACES,
    output:
        shown(directory("results/gallery"), "Videos", patterns=["{case}.mp4"], case="{case}"),
    log:
        "logs/results/gallery.log",
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("collect_videos.py"),
    script:
        "../scripts/collect_videos.py"
