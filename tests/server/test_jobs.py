"""Clients are served in turn, each in its own order."""

from __future__ import annotations

import threading

from vae_balance.server.jobs import BATCH, LONG, URGENT, FairQueue, Job, Task

WAIT = 10.0  # seconds, for what should happen at once


def job_of(client: int) -> Job:
    return Job(client, b"1", [], 0, lambda job, fields: None)


def put(
    queue: FairQueue,
    name: str,
    strand: object = None,
    job: Job | None = None,
    rank: int = URGENT,
) -> list[str]:
    """Queue a task for the client called as the first letter; return where it says "dropped"."""
    said: list[str] = []
    job = job or job_of(ord(name[0]))
    job.facts["name"] = name
    queue.put(Task(job, lambda: None, lambda: said.append("dropped"), strand, rank))
    return said


def taken(queue: FairQueue) -> str | None:
    task = queue.take(0)
    return str(task.job.facts["name"]) if task else None


def test_clients_take_turns() -> None:
    queue = FairQueue()
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        put(queue, name)
    assert [taken(queue) for _ in range(7)] == ["a1", "b1", "c1", "a2", "b2", "a3", None]


def test_a_client_that_comes_late_does_not_wait_for_all_of_another() -> None:
    queue = FairQueue()
    for number in range(5):
        put(queue, f"a{number}")
    assert taken(queue) == "a0"
    put(queue, "b0")
    assert [taken(queue), taken(queue)] == ["a1", "b0"]


def test_urgent_tasks_go_first_but_not_for_ever() -> None:
    queue = FairQueue()
    for name in ("a1", "a2"):
        put(queue, name, rank=BATCH)
    for number in range(6):
        put(queue, f"b{number}")
    put(queue, "c0", rank=LONG)
    order = [taken(queue) for _ in range(9)]
    assert order == ["b0", "b1", "b2", "b3", "c0", "b4", "b5", "a1", "a2"]


def test_only_what_is_more_urgent_is_taken_in_the_middle_of_something() -> None:
    queue = FairQueue()
    put(queue, "a1", rank=LONG)
    assert queue.take(0.0, below=LONG) is None
    assert not queue.has_urgent()
    put(queue, "a2")
    assert queue.has_urgent()
    task = queue.take(0.0, below=LONG)
    assert task is not None
    assert task.job.facts["name"] == "a2"


def test_tasks_of_a_strand_are_not_done_at_the_same_time() -> None:
    queue = FairQueue()
    picture = object()
    for name in ("a1", "a2"):
        put(queue, name, picture)
    put(queue, "a3")
    first = queue.take(0)
    assert first is not None
    assert [taken(queue), taken(queue)] == ["a3", None]
    queue.finished(first)
    assert taken(queue) == "a2"


def test_what_waits_for_a_strand_is_taken_when_it_is_free() -> None:
    queue = FairQueue()
    picture = object()
    for name in ("a1", "a2"):
        put(queue, name, picture)
    first = queue.take(0)
    assert first is not None
    found: list[Task | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take(WAIT)))
    thread.start()
    queue.finished(first)
    thread.join(WAIT)
    assert found[0] is not None
    assert found[0].job.facts["name"] == "a2"


def test_a_held_client_is_passed_over_until_it_is_released() -> None:
    queue = FairQueue()
    put(queue, "a1")
    put(queue, "b1")
    queue.hold(ord("a"), True)
    assert [taken(queue), taken(queue)] == ["b1", None]
    queue.hold(ord("a"), False)
    assert taken(queue) == "a1"


def test_a_discarded_job_is_dropped_with_all_its_tasks() -> None:
    queue = FairQueue()
    job = job_of(ord("a"))
    told = [put(queue, "a1", job=job), put(queue, "a1", job=job)]
    put(queue, "a2")
    assert queue.discard(job)
    assert told == [["dropped"], ["dropped"]]
    assert len(queue) == 1
    assert not queue.discard(job)
    assert taken(queue) == "a2"


def test_a_closed_queue_drops_what_waits() -> None:
    queue = FairQueue()
    told = [put(queue, "a1"), put(queue, "b1")]  # for which threads may be waiting
    queue.close()
    assert told == [["dropped"], ["dropped"]]
    assert len(queue) == 0


def test_a_closed_queue_wakes_who_waits_and_drops_what_comes() -> None:
    queue = FairQueue()
    found: list[Task | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(WAIT)
    assert found == [None]
    assert put(queue, "a1") == ["dropped"]
