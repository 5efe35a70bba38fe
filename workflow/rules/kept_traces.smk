# What there is of results that were measured elsewhere and are kept with the project.


def reference_traces(wildcards):
    folder = Path("results/reference", wildcards.machine, "traces")
    traces = sorted(str(file) for file in folder.glob("*.json.gz"))
    if not traces:
        refuse(f"{folder}: no traces; allowed: a folder with *.json.gz files")
    return traces


def traced_cases(wildcards):
    return [Path(trace).name.removesuffix(".json.gz") for trace in reference_traces(wildcards)]


def reference_cases_without_trace(wildcards):
    """Names of cases of the grid file beside the traces, where there is one, that have none; and that file."""
    grid = Path("results/reference", wildcards.machine, "grid.yaml")
    if not grid.exists():
        return [], str(grid)
    try:
        cases = set(case_names(read_yaml(grid), str(grid)))
    except InputError as error:
        refuse(str(error))
    return sorted(cases.difference(traced_cases(wildcards))), str(grid)


def reference_pictures(wildcards):
    cases = traced_cases(wildcards)
    folder = Path("results/reference", wildcards.machine, "plots")
    return [str(folder / "pictures.json"), *(str(folder / case / "pictures.json") for case in cases)]
