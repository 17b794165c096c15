"""What stands at each place of a JSON answer: types, and values as far as they may be kept."""

from __future__ import annotations

from rehearse.edges.documents import is_below, moved, places_of, values_of


def test_the_types_of_a_document_by_place() -> None:
    body = b'{"a": [{"b": 1}, {"b": null}], "c": true}'
    assert places_of(body) == {
        "$": "object",
        "$.a": "list",
        "$.a[*]": "object",
        "$.a[*].b": "null or number",
        "$.c": "boolean",
    }
    assert places_of(b"<html>") == {}


def test_the_values_of_a_document_by_place_and_lists_by_their_length() -> None:
    assert values_of(b'{"a": [{"b": 1}, {"b": null}], "c": true, "d": "x"}') == {
        "$.a": "2 items",
        "$.a[*].b": "1, null",
        "$.c": "true",
        "$.d": '"x"',
    }


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert values_of(b'{"n": 5}') == values_of(b'{"n": 5.0}')
    assert values_of(b'{"n": 5}') != values_of(b'{"n": "5"}')


def test_long_values_and_addresses_are_kept_as_a_digest_and_secrets_not_at_all() -> None:
    found = values_of(b'{"text": "%s", "mail": "a@b.example", "token": "abc", "password": 5}' % (b"x" * 200))
    assert set(found) == {"$.text", "$.mail"}
    assert all(value.startswith("#") and len(value) == 11 for value in found.values())
    assert found != values_of(b'{"text": "%s", "mail": "a@b.example"}' % (b"y" * 200))


def test_a_place_has_moved_when_one_answer_has_another_value_or_none() -> None:
    assert moved([{"$.a": "1", "$.b": "2"}, {"$.a": "1", "$.b": "3", "$.c": "4"}]) == {"$.b", "$.c"}
    assert moved([{"$.a": "1"}]) == moved([]) == set()


def test_a_place_below_another_one_belongs_to_it_and_one_that_begins_alike_does_not() -> None:
    assert is_below("$.meta.at", {"$.meta"})
    assert is_below("$.items[*].id", {"$.items"})
    assert is_below("$.meta", {"$.meta"})
    assert not is_below("$.metadata", {"$.meta"})
