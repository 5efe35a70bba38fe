"""Which cases of a report differ from a case in one setting, and which of several is the nearest."""

from pathlib import Path

from reports import full_case, made, steady_case
from traces import GPU
from wanbench.analysis.case_rows import case_rows
from wanbench.analysis.one_factor_pairs import Neighbour, Neighbourhood
from wanbench.analysis.tables import cases_table
from wanbench.trace.reader import Trace

OTHER_GPU = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}


def nearest(own: Trace, *others: Trace) -> list[Neighbour]:
    case, *rest = case_rows(cases_table([own, *others]))
    return Neighbourhood([case, *rest]).of(case)


def keys(own: Trace, *others: Trace) -> list[str]:
    return [neighbour.setting for neighbour in nearest(own, *others)]


def test_a_neighbour_differs_in_one_setting_and_maybe_in_steps(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own")
    offloaded = steady_case(tmp_path, "b", steps=9, settings={"offload": "model"})
    both = steady_case(tmp_path, "c", settings={"offload": "model", "vae_tiling": True})
    tiled = steady_case(tmp_path, "d", settings={"vae_tiling": True})
    assert keys(own, offloaded, both, tiled) == ["offload: model", "vae_tiling: true"]
    assert keys(both, own, offloaded) == ["vae_tiling: false"]


def test_of_the_cases_with_a_setting_the_nearest_speaks(tmp_path: Path) -> None:
    """The same GPU, then as warm, then the same steps, then the most steps."""
    own = steady_case(tmp_path, "own", settings={"repeats": 2})
    near = {
        "elsewhere": {"environment": OTHER_GPU},
        "cold": {"settings": {"repeats": 1}},
        "few_steps": {"steps": 5},
        "steps": {"steps": 30},
        "all_alike": {},
    }
    made_so_far: list[Trace] = []
    for name, options in near.items():
        settings = {"repeats": 2, "offload": "model"} | options.pop("settings", {})
        made_so_far.append(steady_case(tmp_path, name, settings=settings, **options))
        (found,) = nearest(own, *made_so_far)
        assert found.row["case"] == name
        assert found.same_gpu == (name != "elsewhere")
        assert found.same_steps == (name in ("elsewhere", "cold", "all_alike"))


def test_the_cold_generation_of_a_warm_case_is_as_near_as_one_that_is_alone(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own")
    warm = steady_case(tmp_path, "warm", settings={"offload": "model", "repeats": 2})
    more_steps = steady_case(tmp_path, "more_steps", steps=30, settings={"offload": "model"})
    (found,) = nearest(own, more_steps, warm)
    assert found.row["case"] == "warm"


def test_other_software_makes_no_neighbour(tmp_path: Path) -> None:
    newer = GPU | {"packages": GPU["packages"] | {"torch": "2.12.0"}}
    assert (
        keys(steady_case(tmp_path, "own"), steady_case(tmp_path, "b", settings={"offload": "model"}, environment=newer))
        == []
    )


def test_what_makes_no_neighbour(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own")
    other_gpu = GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU"}}
    offloaded = {"offload": "model"}
    assert keys(own, steady_case(tmp_path, "same")) == []
    assert keys(own, steady_case(tmp_path, "b", settings=offloaded | {"guidance": 1.0})) == []
    assert keys(own, steady_case(tmp_path, "c", settings=offloaded, environment=other_gpu)) == []
    doubtful = steady_case(tmp_path, "d", settings=offloaded, unnamed_s=5.0)
    assert keys(own, doubtful) == []
    assert keys(doubtful, own) == []
    # With random weights, how often a cache serves means nothing.
    assert keys(own, steady_case(tmp_path, "e", settings={"cache": "first_block"})) == []


def test_thresholds_of_a_cache_are_one_setting_with_it(tmp_path: Path) -> None:
    def cached(name: str, threshold: float | None) -> Trace:
        cache = {"cache": "first_block", "cache_threshold": threshold} if threshold else {}
        case = full_case(name, steps=4, weights="pretrained", **cache)
        return made(tmp_path, case)

    plain, low, high = cached("plain", None), cached("low", 0.05), cached("high", 0.2)
    assert keys(plain, low) == ["cache: first_block, cache_threshold: 0.05"]
    assert keys(low, high) == ["cache: first_block, cache_threshold: 0.2"]


def test_a_cache_with_random_weights_is_no_neighbour(tmp_path: Path) -> None:
    """How often it serves differs by chance, also between two that have one."""
    cache = {"cache": "first_block", "cache_threshold": 0.1}
    own = steady_case(tmp_path, "own", settings=cache)
    compiled = steady_case(tmp_path, "compiled", settings=cache | {"compile": "repeated_blocks"})
    plain = steady_case(tmp_path, "plain")
    assert keys(own, compiled, plain) == keys(plain, own, compiled) == []
    real = {"weights": "pretrained"}
    own, plain = (steady_case(tmp_path, name, settings=real | more) for name, more in (("r", cache), ("s", {})))
    assert keys(own, plain) == ["cache: none"]
