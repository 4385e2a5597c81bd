from tests.crash.plan import RECIPIENTS, Aim, Crash, Cut, Hold, make_plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(7, 50) == make_plan(7, 50)


def test_another_seed_gives_another_plan() -> None:
    assert make_plan(7, 50) != make_plan(8, 50)


def test_a_longer_plan_begins_like_a_shorter_one() -> None:
    assert make_plan(7, 50)[:20] == make_plan(7, 20)


def test_in_a_long_plan_everything_happens_to_everybody() -> None:
    plan = make_plan(7, 200)
    faults = {(type(fault), fault.recipient) for planned in plan for fault in planned.faults}
    assert faults == {(kind, number) for kind in (Crash, Hold, Cut) for number in range(RECIPIENTS)}
    assert {planned.aim for planned in plan} == set(Aim)
    assert any(planned.terminate_at is not None for planned in plan)
    assert any(planned.start_kills for planned in plan)
