# Reports of traces that were measured elsewhere and are kept with the project: results/reference/MACHINE/report.md and
# results/reference/MACHINE/plots/


use rule tabulate as tabulate_reference with:
    input:
        traces=reference_traces,
    output:
        csv=expand("results/reference/{{machine}}/tables/{table}.csv", table=TABLES),
        parquet=expand("results/reference/{{machine}}/tables/{table}.parquet", table=TABLES),
    log:
        "logs/reference/{machine}/tabulate.log",
    params:
        expected=None,
        others=[],
        without_trace=reference_cases_without_trace,
        limits=LIMITS,
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,


use rule report as report_reference with:
    input:
        cases="results/reference/{machine}/tables/cases.parquet",
        stages="results/reference/{machine}/tables/stages.parquet",
        details="results/reference/{machine}/tables/details.parquet",
        excluded="results/reference/{machine}/tables/excluded.parquet",
    output:
        report="results/reference/{machine}/report.md",
        findings_csv="results/reference/{machine}/tables/findings.csv",
        findings="results/reference/{machine}/tables/findings.parquet",
    log:
        "logs/reference/{machine}/report.log",


use rule plot_case as plot_case_reference with:
    input:
        trace="results/reference/{machine}/traces/{case}.json.gz",
    output:
        svg=expand("results/reference/{{machine}}/plots/{{case}}/{picture}.svg", picture=CASE_PICTURES),
        png=expand("results/reference/{{machine}}/plots/{{case}}/{picture}.png", picture=CASE_PICTURES),
        words="results/reference/{machine}/plots/{case}/pictures.json",
    log:
        "logs/reference/{machine}/plots/{case}.log",
    params:
        expected=None,
        limits=LIMITS,
        plot_digest=CASE_PLOT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,


use rule plot_grid as plot_grid_reference with:
    input:
        cases="results/reference/{machine}/tables/cases.parquet",
        stages="results/reference/{machine}/tables/stages.parquet",
    output:
        svg=expand("results/reference/{{machine}}/plots/{picture}.svg", picture=GRID_PICTURES),
        png=expand("results/reference/{{machine}}/plots/{picture}.png", picture=GRID_PICTURES),
        words="results/reference/{machine}/plots/pictures.json",
    log:
        "logs/reference/{machine}/plots.log",


use rule page as page_reference with:
    input:
        cases="results/reference/{machine}/tables/cases.parquet",
        stages="results/reference/{machine}/tables/stages.parquet",
        details="results/reference/{machine}/tables/details.parquet",
        excluded="results/reference/{machine}/tables/excluded.parquet",
        findings="results/reference/{machine}/tables/findings.parquet",
        traces=reference_traces,
        pictures=reference_pictures,
    output:
        "results/reference/{machine}/report.html",
    log:
        "logs/reference/{machine}/page.log",
