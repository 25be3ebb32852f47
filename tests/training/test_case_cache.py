"""Cases on disk: made once, by one process or two, resumed, and drawn from in bounded memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import pytest

from vae_balance.errors import BalanceError, ImageError, OptionError
from vae_balance.training import case_cache
from vae_balance.training.case_cache import (
    CaseBatches,
    CaseCache,
    CaseMaker,
    Fields,
    Renewal,
    read_shard,
    write_shard,
)

MADE_BY = {"VAE": "aaaaaaaaaaaaaaaa", "classifier": "b"}
# Shards of so many cases, in processes that the tests start as well.
SHARD = case_cache.SHARD


@dataclass(frozen=True)
class Numbers:
    """A recipe of cases that are random numbers; `fail` in the shard of number 1."""

    log: Path
    fail: str = ""

    def __call__(self) -> CaseMaker:
        def make(shard: int, first: int, count: int) -> Fields:
            if shard == 1 and self.fail == "error":
                raise ImageError("flower.jpg: cannot be trained on")
            if shard == 1 and self.fail == "defect":
                raise ZeroDivisionError("a defect")
            if shard == 1 and self.fail == "killed":
                os._exit(9)
            with self.log.open("a") as log:
                log.write(f"{shard} {first}\n")
            drawn = [
                np.random.default_rng((5, shard, n)).uniform() for n in range(first, first + count)
            ]
            numbers = np.arange(first, first + count) + shard * SHARD
            return {"value": np.array(drawn, np.float16), "number": numbers}

        return make


@pytest.fixture
def recipe(tmp_path: Path) -> Numbers:
    return Numbers(tmp_path / "log")


@pytest.fixture
def cache(tmp_path: Path) -> CaseCache:
    cache = CaseCache(tmp_path / "cache", MADE_BY)
    cache.open()
    return cache


def fill(cache: CaseCache, recipe: Numbers, cases: int, processes: int = 1) -> list[Path]:
    return cache.fill("train", cases, recipe, processes, lambda what, made, total: None)


def made(recipe: Numbers) -> int:
    """Return how often some cases were made since this was asked last."""
    lines = recipe.log.read_text().splitlines() if recipe.log.exists() else []
    recipe.log.unlink(missing_ok=True)
    return len(lines)


def values(shards: list[Path]) -> list[float]:
    return [float(v) for path in shards for v in read_shard(path, ["value"])["value"]]


def test_cases_are_made_once(cache: CaseCache, recipe: Numbers) -> None:
    first = values(fill(cache, recipe, SHARD + 40))
    assert len(set(first)) > SHARD // 2  # as many as half floats tell apart
    assert made(recipe) == SHARD // case_cache.BATCH_SIZE + 3
    assert values(fill(cache, recipe, SHARD + 40)) == first
    assert made(recipe) == 0


def test_more_cases_are_added_to_those_that_are_there(cache: CaseCache, recipe: Numbers) -> None:
    few = values(fill(cache, recipe, SHARD + 10))
    made(recipe)
    more = values(fill(cache, recipe, SHARD + 30))
    assert more[: len(few)] == few
    assert len(more) == SHARD + 30
    assert made(recipe) == 2  # the second shard only
    # Fewer than there are: what is there serves.
    assert values(fill(cache, recipe, SHARD)) == few[:SHARD]


def test_an_interrupted_making_goes_on_with_the_same_cases(
    cache: CaseCache, recipe: Numbers, tmp_path: Path
) -> None:
    failing = Numbers(recipe.log, "error")
    with pytest.raises(ImageError, match=r"flower.jpg"):
        fill(cache, failing, 3 * SHARD)
    assert made(recipe) == SHARD // case_cache.BATCH_SIZE
    (cache.folder / "train-0001.part").mkdir()  # as a process that was killed leaves it
    resumed = values(fill(cache, recipe, 3 * SHARD))
    assert made(recipe) == 2 * SHARD // case_cache.BATCH_SIZE
    other = CaseCache(tmp_path / "other", MADE_BY)
    other.open()
    assert values(fill(other, recipe, 3 * SHARD)) == resumed


def test_two_processes_make_what_one_makes(
    cache: CaseCache, recipe: Numbers, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    shards = cache.fill("train", SHARD + 20, recipe, 2, lambda *counts: told.append(counts))
    alone = CaseCache(tmp_path / "alone", MADE_BY)
    alone.open()
    assert values(shards) == values(fill(alone, recipe, SHARD + 20))
    assert told[0] == ("cases", 0, SHARD + 20)
    assert told[-1] == ("cases", SHARD + 20, SHARD + 20)
    assert sorted(told) == told


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [
        ("error", ImageError, r"^flower.jpg: cannot be trained on$"),
        ("defect", RuntimeError, "ZeroDivisionError: a defect"),
        ("killed", BalanceError, "a process that makes cases ended"),
    ],
)
def test_what_ends_a_process_ends_the_making(
    cache: CaseCache, recipe: Numbers, fail: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fill(cache, Numbers(recipe.log, fail), SHARD + 20, processes=2)


def test_a_process_whose_starter_was_killed_ends_without_a_word(
    cache: CaseCache, recipe: Numbers, capfd: pytest.CaptureFixture[str]
) -> None:
    job = case_cache._Job(cache.folder / "train-0000", 0, SHARD)
    process, reader = case_cache._started([job], recipe)
    reader.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""
    assert made(recipe) < SHARD // case_cache.BATCH_SIZE
    assert not job.folder.exists()


def test_cases_of_another_vae_are_refused(cache: CaseCache) -> None:
    with pytest.raises(
        OptionError, match=r"made with another VAE .*aaaaaaaaaaaa, not cc"
    ) as caught:
        CaseCache(cache.folder, {**MADE_BY, "VAE": "cc"}).open()
    assert "give another --cache DIR" in str(caught.value)
    CaseCache(cache.folder, MADE_BY).open()


def test_a_description_that_is_broken_is_named(cache: CaseCache) -> None:
    (cache.folder / "made_by.json").write_text("{")
    with pytest.raises(OptionError, match=r"made_by.json: does not tell"):
        cache.open()


def test_a_shard_that_lacks_a_field_is_named(cache: CaseCache, recipe: Numbers) -> None:
    (shard,) = fill(cache, recipe, 10)
    with pytest.raises(BalanceError, match=r"train-0000: broken .* delete it"):
        read_shard(shard, ["value", "absent"])


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_a_shard_with_a_broken_file_is_made_again(
    cache: CaseCache, recipe: Numbers, content: bytes
) -> None:
    (shard,) = fill(cache, recipe, 10)
    whole = values([shard])
    (shard / "value.npy").write_bytes(content)
    assert values(fill(cache, recipe, 10)) == whole


def test_a_shard_that_cannot_be_written_tells_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BalanceError, match=r"cannot be written: .* give another --cache"):
        write_shard(tmp_path / "file" / "train-0000", {"value": np.zeros(3)})


def test_two_commands_do_not_make_the_same_cases(cache: CaseCache, recipe: Numbers) -> None:
    with (
        filelock.FileLock(cache.folder / ".lock"),
        pytest.raises(BalanceError, match="another vae-balance makes cases here"),
    ):
        fill(cache, recipe, 10)


@pytest.fixture
def shards(cache: CaseCache) -> list[Path]:
    """Return ten shards of eight cases, whose values are their shard's number."""
    paths = [cache.folder / f"few-{number:04d}" for number in range(10)]
    for number, path in enumerate(paths):
        write_shard(path, {"value": np.full(8, number), "number": np.arange(8)})
    return paths


def drawn_from(
    shards: list[Path], window: int, renewal: Renewal = case_cache.NO_RENEWAL
) -> CaseBatches[list[int]]:
    def finish(fields: Fields, rng: np.random.Generator) -> list[int]:
        assert (np.diff(fields["number"]) != 0).any()
        return [*fields["value"].tolist(), int(rng.integers(1000))]

    return CaseBatches(shards, ["value", "number"], finish, 6, 1, window, 3, renewal)


@pytest.mark.parametrize("window", [4, 24])
def test_a_batch_follows_from_its_step_alone(shards: list[Path], window: int) -> None:
    whole = list(drawn_from(shards, window)(0, 40))
    assert list(drawn_from(shards, window)(17, 40)) == whole[17:]
    assert len({tuple(batch) for batch in whole}) == 40


def test_memory_is_bounded_by_the_window_and_every_shard_has_its_turn(shards: list[Path]) -> None:
    batches = drawn_from(shards, 4)
    seen: set[int] = set()
    for batch in batches(0, 60):
        assert len(set(batch[:-1])) <= 4
        assert len(batches._held) <= 4
        seen |= set(batch[:-1])
    assert seen == set(range(10))


@pytest.mark.parametrize("window", [2, 24])
def test_fresh_shards_take_the_place_of_the_first_ones_turn_by_turn(
    shards: list[Path], window: int
) -> None:
    waited: list[Path] = []
    renewal = Renewal(shards[6:], 2, waited.append)
    batches = list(drawn_from(shards[:6], window, renewal)(0, 90))
    turn = 6 * 3  # six shards, three steps each
    # A window looks ahead: what it holds at the end of a turn may be of the next.
    seen = [
        {value for batch in batches[k * turn : (k + 1) * turn] for value in batch[:-1]}
        for k in range(5)
    ]
    assert not seen[0] & {8, 9}
    assert seen[1] <= set(range(2, 10))
    assert seen[3] == seen[4] == {4, 5, 6, 7, 8, 9}
    assert set(waited) == set(shards[6:])
    assert list(drawn_from(shards[:6], window, renewal)(40, 90)) == batches[40:]


def test_cases_are_made_beside_what_goes_on(cache: CaseCache, recipe: Numbers) -> None:
    first = fill(cache, recipe, SHARD)
    with cache.making("train", 1, 2, recipe) as wait_for:
        fresh = cache.shards("train", 3 * SHARD)[1:]
        for shard in reversed(fresh):
            wait_for(shard)
            assert len(values([shard])) == SHARD
        with pytest.raises(BalanceError, match="another vae-balance makes cases here"):
            fill(cache, recipe, 5 * SHARD)
    made(recipe)
    assert fill(cache, recipe, 3 * SHARD) == [*first, *fresh]
    assert made(recipe) == 0
    with cache.making("train", 1, 2, recipe) as wait_for:
        wait_for(fresh[0])
    assert made(recipe) == 0


@pytest.mark.parametrize(
    ("fail", "message"),
    [("error", "flower.jpg: cannot be trained on"), ("killed", "train-0001.*same command goes on")],
)
def test_what_ends_the_making_of_fresh_cases_is_told_to_who_waits(
    cache: CaseCache, recipe: Numbers, fail: str, message: str
) -> None:
    failing = Numbers(recipe.log, fail)
    with cache.making("train", 0, 2, failing) as wait_for:
        wait_for(cache.shards("train", 1)[0])
        for _ in range(2):
            with pytest.raises(BalanceError, match=message):
                wait_for(cache.shards("train", 2 * SHARD)[1])
