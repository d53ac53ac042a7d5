"""Names beside points cover neither one another nor what is there already, and the first ones come first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from automl_tl.report.charts.names import Box, around, places, text_box

SIZE = (4.0, 3.0)
points = st.lists(
    st.tuples(st.floats(0, SIZE[0]), st.floats(0, SIZE[1]), st.text("abc ", min_size=1, max_size=20)), max_size=30
)


def test_there_is_room_for_one_of_two_names_at_one_point() -> None:
    wide = "w" * 50
    assert [one.index for one in places([(2.0, 1.5, wide), (2.0, 1.5, "short")], [], SIZE, 5)] == [1]
    assert places([(2.0, 1.5, "name")], [around((2.0, 1.5), 1.0)], SIZE, 5) == []


@given(points, st.integers(1, 10))
def test_no_name_covers_another(some: list[tuple[float, float, str]], most: int) -> None:
    taken = [Box(1.0, 1.0, 2.0, 1.2)]
    found = places(some, taken, SIZE, most)
    assert len(found) <= most
    assert [one.index for one in found] == sorted({one.index for one in found})
    boxes = [text_box(*some[one.index], one.side, above=one.above) for one in found]
    for number, box in enumerate(boxes):
        assert 0 <= box.left <= box.right <= SIZE[0]
        assert 0 <= box.bottom <= box.top <= SIZE[1]
        assert not any(box.covers(other) for other in [*taken, *boxes[number + 1 :]])
