"""The response contract, learnt and compared: real breaks are found, additions are told, and noise is left alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from uuid import UUID

import pytest

from rehearse.checks.contract import ContractLearner, contracts_of
from rehearse.checks.places import MAX_PLACES
from rehearse.judge.contract import contract_changes
from rehearse.model import ContractRules, Mode, Side, Weight
from tests.checks.answers import JSON, changes, contracts, evidence_of, gating, sample, weights

N = 40


def many(document: object) -> list[object]:
    return [document] * N


# --- real breaks --------------------------------------------------------------------------------------------------


def test_a_number_that_came_back_as_text_gates_with_one_example_before_and_after() -> None:
    """pydantic 2 dumps a Decimal as text: {"amount": 100.5} became {"amount": "100.5"} (pydantic#7120)."""
    found = changes(many({"id": 1, "amount": 100.5}), many({"id": 1, "amount": "100.5"}))
    (change,) = found
    assert change.subject == "contract: GET /orders/[id] 200 $.amount type"
    assert change.weight is Weight.GATE
    assert (change.before, change.after) == ("100.5", '"100.5"')
    assert "number became string" in change.sentence
    assert "in 40 of 40 answers; known-good: 0 of 40" in change.sentence


def test_a_sum_of_nothing_that_became_null_gates() -> None:
    """SQL's sum of nothing is NULL and not 0; only some answers have it."""
    after = [{"total": None if index % 3 == 0 else 12.5} for index in range(N)]
    (change,) = changes([{"total": 0.0 if index % 3 == 0 else 12.5} for index in range(N)], after)
    assert (change.what, change.weight, change.after) == ("null", Weight.GATE, "null")


def test_a_time_that_lost_its_offset_gates() -> None:
    """Replacing utcnow mixes naive and aware times (google-auth#1413)."""
    before = [{"at": f"2026-11-21T10:00:{second:02}+00:00"} for second in range(N)]
    after = [{"at": f"2026-11-21T10:00:{second:02}"} for second in range(N)]
    assert gating(changes(before, after)) == ["contract: GET /orders/[id] 200 $.at format"]
    assert gating(changes(after, before)) == ["contract: GET /orders/[id] 200 $.at format"]


def test_the_name_of_a_python_type_in_a_text_gates() -> None:
    """NumPy 2 writes np.float64(3.2) where 1.x wrote 3.2 (vmaf#1372)."""
    found = changes(many({"score": "3.2"}), many({"score": "np.float64(3.2)"}))
    assert gating(found) == ["contract: GET /orders/[id] 200 $.score format"]


def test_a_number_that_json_does_not_have_gates() -> None:
    after = [sample(b'{"rate": NaN}', Side.CANDIDATE) for _ in range(N)]
    found = contract_changes(evidence_of([sample({"rate": 0.5}) for _ in range(N)], after))
    assert gating(found) == ["contract: GET /orders/[id] 200 $ json"]


BREAKS: dict[str, tuple[object, object, str]] = {
    "a whole number became a float": ({"n": 3}, {"n": 3.0}, "$.n type"),
    "a key vanished": ({"a": 1, "b": 2}, {"a": 1}, "$.b key"),
    "a key in a list's items vanished": (
        {"items": [{"a": 1, "b": 2}]},
        {"items": [{"a": 1}]},
        "$.items[*].b key",
    ),
    "an object became a list": ({"a": {"b": 1}}, {"a": [{"b": 1}]}, "$.a type"),
    "the document became a list": ({"a": 1}, [{"a": 1}], "$ type"),
    "a list is always empty": ({"items": [1]}, {"items": []}, "$.items empty"),
    "an id is no uuid any more": ({"id": str(UUID(int=7))}, {"id": "7"}, "$.id format"),
}


@pytest.mark.parametrize(("before", "after", "expected"), BREAKS.values(), ids=BREAKS)
def test_a_break_gates_once_and_at_its_own_place(before: object, after: object, expected: str) -> None:
    assert gating(changes(many(before), many(after))) == [f"contract: GET /orders/[id] 200 {expected}"]


def test_a_key_that_became_optional_gates_when_chance_cannot_explain_it() -> None:
    after: list[object] = [{"a": 1, "b": 2} if index % 2 else {"a": 1} for index in range(N)]
    assert gating(changes(many({"a": 1, "b": 2}), after)) == ["contract: GET /orders/[id] 200 $.b key"]


def test_a_key_that_only_some_items_of_a_list_lack_became_optional() -> None:
    full, half = {"items": [{"a": 1}, {"a": 2}]}, {"items": [{"a": 1}, {}]}
    assert gating(changes(many(full), many(half))) == ["contract: GET /orders/[id] 200 $.items[*].a key"]


def test_what_all_keys_of_an_object_share_is_told_once() -> None:
    """Three of three: one change. Two of three: two, because the third is as it was."""
    names = ("bakery", "cheese", "tea")
    before = many({"spent": dict.fromkeys(names, 1.5)})
    (change,) = changes(before, many({"spent": dict.fromkeys(names, "1.50")}))
    assert change.subject == "contract: GET /orders/[id] 200 $.spent.* type"
    assert "$.spent.*: number became string" in change.sentence
    assert change.sentence.endswith("the same in all 3 keys: bakery, cheese, ...")
    two = changes(before, many({"spent": {**dict.fromkeys(names, "1.50"), "tea": 1.5}}))
    assert [one.place for one in two] == ["$.spent.bakery", "$.spent.cheese"]


# --- what does not gate -------------------------------------------------------------------------------------------

HARMLESS: dict[str, tuple[object, object, dict[str, Weight]]] = {
    "a new key": ({"a": 1}, {"a": 1, "b": 2}, {"$.b new key": Weight.NOTE}),
    "a new object is told once": ({"a": 1}, {"a": 1, "b": {"c": {"d": 1}}}, {"$.b new key": Weight.NOTE}),
    "a float that is whole now": ({"n": 3.5}, {"n": 3}, {}),
    "free text in any shape": ({"t": "x y"}, {"t": "2026-11-21"}, {"$.t enum": Weight.WARN}),
    "a null that is a value now": ({"a": None}, {"a": None}, {}),
}


@pytest.mark.parametrize(("before", "after", "expected"), HARMLESS.values(), ids=HARMLESS)
def test_what_only_adds_does_not_gate(before: object, after: object, expected: dict[str, Weight]) -> None:
    assert weights(changes(many(before), many(after))) == expected


def test_a_new_value_of_an_enumeration_warns() -> None:
    before = [{"state": ("new", "paid")[index % 2]} for index in range(N)]
    after = [{"state": ("new", "paid", "settled")[index % 3]} for index in range(N)]
    (change,) = changes(before, after)
    assert (change.what, change.weight, change.after) == ("enum", Weight.WARN, "settled")


def test_a_list_that_is_no_longer_sorted_warns() -> None:
    before = [{"items": [{"id": one} for one in (1, 2, 3, 4)]} for _ in range(N)]
    after = [{"items": [{"id": one} for one in (3, 1, 4, 2)]} for _ in range(N)]
    assert weights(changes(before, after)) == {"$.items order": Weight.WARN}


def test_ids_as_keys_do_not_make_a_place_each() -> None:
    rng = random.Random(1)

    def prices() -> dict[str, object]:
        return {"prices": {f"{rng.randrange(10**9)}": {"amount": 1.5} for _ in range(5)}}

    (contract,) = contracts([sample(prices()) for _ in range(N)])
    assert set(contract.places) == {"header content-type", "$", "$.prices", "$.prices.*", "$.prices.*.amount"}
    broken = [{"prices": {"17": {"amount": "1.5"}}} for _ in range(N)]
    assert gating(changes([prices() for _ in range(N)], broken)) == [
        "contract: GET /orders/[id] 200 $.prices.*.amount type"
    ]


def test_an_object_with_ever_new_keys_is_a_dictionary() -> None:
    names = [f"{chr(97 + one % 26)}{chr(97 + one // 26)}" for one in range(400)]
    documents = [{"stock": {name: {"n": 1} for name in names[at : at + 9]}} for at in range(0, 390, 9)]
    (contract,) = contracts([sample(one) for one in documents])
    assert contract.varying == ("$.stock",)
    assert len(contract.places) < 20
    assert changes(documents, documents) == ()


def test_the_places_of_one_contract_are_bounded() -> None:
    wide = {f"key_{chr(97 + a)}{chr(97 + b)}": {"v": [1, {"w": 2}]} for a in range(9) for b in range(9)}
    (contract,) = contracts([sample({"a": wide, "b": wide, "c": wide})])
    assert len(contract.places) <= MAX_PLACES + 1
    assert contract.is_bounded


# --- evidence taken away ------------------------------------------------------------------------------------------


def test_too_few_answers_prove_nothing_and_say_so() -> None:
    (change,) = changes([{"a": 1, "b": 2}] * 3, [{"a": 1}] * 3)
    assert change.weight is Weight.NOTE
    assert "not proven: chance alone" in change.sentence


def test_another_type_in_too_few_answers_is_at_least_a_warning() -> None:
    (change,) = changes([{"a": 1}] * 3, [{"a": "1"}] * 3)
    assert change.weight is Weight.WARN


def test_a_body_that_was_cut_is_not_taken_for_a_contract() -> None:
    cut = [sample(b'{"a": 1', Side.CANDIDATE, is_whole=False) for _ in range(N)]
    found = contract_changes(evidence_of([sample({"a": 1, "b": 2}) for _ in range(N)], cut))
    assert weights(found) == {"- too long": Weight.WARN}


def test_what_the_stored_baseline_has_shown_before_is_no_change() -> None:
    known = [sample({"a": None if index % 2 else 1}) for index in range(N)]
    assert changes(many({"a": 1}), many({"a": None}), known=known) == ()


def test_a_key_whose_presence_moves_between_known_good_recordings_cannot_vanish() -> None:
    known = [sample({"a": 1} if index % 4 else {"a": 1, "b": 2}) for index in range(N)]
    (change,) = changes(many({"a": 1, "b": 2}), many({"a": 1}), known=known)
    assert change.weight is Weight.NOTE
    assert "do not agree" in change.sentence


def test_recorded_mode_compares_with_the_stored_contract() -> None:
    known = [sample({"n": 1.5}) for _ in range(N)]
    candidate = [sample({"n": "1.5"}, Side.CANDIDATE) for _ in range(N)]
    found = contract_changes(evidence_of([], candidate, known=known, mode=Mode.RECORDED))
    assert gating(found) == ["contract: GET /orders/[id] 200 $.n type"]


@pytest.mark.parametrize(
    "rules",
    [
        ContractRules(ignored_endpoints=("GET /orders/[id]",)),
        ContractRules(ignored_places=("$.a",)),
        ContractRules(ignored_places=("$.a.b",)),
    ],
    ids=["the endpoint", "a place above", "the place"],
)
def test_what_is_ignored_is_not_compared(rules: ContractRules) -> None:
    assert changes(many({"a": {"b": 1}}), many({"a": {"b": "1"}}), rules=rules) == ()


# --- headers, status ------------------------------------------------------------------------------------------------


def with_headers(side: Side, **headers: str) -> list[object]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [sample({"a": 1}, side, headers={**JSON, **named}) for _ in range(N)]


HEADERS: dict[str, tuple[dict[str, str], dict[str, str], dict[str, Weight]]] = {
    "a lost security header": (
        {"x_content_type_options": "nosniff"}, {}, {"header x-content-type-options header": Weight.GATE},
    ),
    "a lost etag": ({"etag": "present"}, {}, {"header etag header": Weight.WARN}),
    "a new header": ({}, {"vary": "Accept"}, {"header vary header": Weight.NOTE}),
    "another cache policy": (
        {"cache_control": "no-store"}, {"cache_control": "max-age=60"}, {"header cache-control header": Weight.WARN},
    ),
    "another charset": ({}, {"content_type": "application/json; charset=utf-8"},
                        {"header content-type header": Weight.WARN}),
    "a cookie that scripts may read now": (
        {"set_cookie sid": "HttpOnly; Secure"}, {"set_cookie sid": "Secure"},
        {"header set-cookie sid header": Weight.GATE},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), HEADERS.values(), ids=HEADERS)
def test_headers_are_part_of_the_contract(
    before: dict[str, str], after: dict[str, str], expected: dict[str, Weight]
) -> None:
    found = evidence_of(
        with_headers(Side.BASELINE, **before),  # type: ignore[arg-type]
        with_headers(Side.CANDIDATE, **after),  # type: ignore[arg-type]
    )
    assert weights(contract_changes(found)) == expected


def test_another_content_type_gates() -> None:
    html = [sample(b"<p>", Side.CANDIDATE, headers={"content-type": "text/html"}) for _ in range(N)]
    found = contract_changes(evidence_of([sample({"a": 1}) for _ in range(N)], html))
    assert gating(found) == ["contract: GET /orders/[id] 200 header content-type header"]


def test_a_status_that_was_never_seen_is_a_note_and_one_that_was_replaced_a_warning() -> None:
    baseline = [sample({"a": 1}) for _ in range(N)]
    candidate = [sample({"a": 1}, Side.CANDIDATE, status=201) for _ in range(N)]
    found = contract_changes(evidence_of(baseline, candidate))
    assert {one.status: one.weight for one in found} == {200: Weight.WARN, 201: Weight.NOTE}
    found = contract_changes(evidence_of(baseline, [*candidate, sample({"a": 1}, Side.CANDIDATE)]))
    assert {one.weight for one in found} == {Weight.NOTE}


# --- secrets and bounds ---------------------------------------------------------------------------------------------


def test_a_secret_in_a_body_a_key_or_a_header_is_in_no_exhibit_and_in_no_sample_for_checks() -> None:
    canary = "canary-4711-secret"
    learner = ContractLearner(lambda text: text.replace(canary, "***"))
    document = {"note": canary, canary: 1, "long": "x" * 70 + canary, "list": [{"who": f"{canary} and more"}]}
    learner.take(sample(document, headers={**JSON, "location": f"/{canary}"}))
    stored = b"".join(one.body for one in learner.exhibits())
    whole = repr(learner.recorded())
    assert canary[:10] not in stored.decode()
    assert canary[:10] not in whole
    assert "***" in whole


def test_what_a_key_calls_secret_is_never_an_example_or_a_value() -> None:
    (contract,) = contracts([sample({"access_token": "abcdef", "user": {"email": "a@b.example"}})])
    text = json.dumps([dict(one.examples) for one in contract.places.values()])
    assert "abcdef" not in text
    assert "a@b.example" not in text
    assert contract.places["$.access_token"].values == {}


def test_at_most_three_whole_samples_of_a_kind_are_kept_for_checks() -> None:
    learner = ContractLearner()
    for index in range(50):
        learner.take(sample({"n": index}))
    assert [json.loads(one.body)["n"] for one in learner.recorded()] == [0, 48, 49]


# --- noise ----------------------------------------------------------------------------------------------------------


def api(rng: random.Random) -> Callable[[], object]:
    """An API with optional fields, nulls, times, ids, enumerations and lists, as one version gives it."""

    def answer() -> object:
        items = [
            {
                "id": rng.randrange(10**6),
                "price": round(rng.uniform(1, 90), 2),
                **({"discount": 5} if rng.random() < 0.03 else {}),
                "note": None if rng.random() < 0.5 else rng.choice(["gift", "fragile", "", "2026"]),
            }
            for _ in range(rng.randrange(0, 5))
        ]
        return {
            "id": str(UUID(int=rng.getrandbits(128))),
            "at": f"2026-11-21T10:{rng.randrange(60):02}:{rng.randrange(60):02}Z",
            "state": rng.choices(["new", "paid", "sent", "lost"], [60, 30, 9, 1])[0],
            "items": items,
            "coupon": {"code": "ABC", "until": "2026-12-31"} if rng.random() < 0.1 else None,
            "by_day": {f"2026-11-{rng.randrange(1, 29):02}": rng.random() for _ in range(3)},
            **({"warning": "late"} if rng.random() < 0.01 else {}),
        }

    return answer


def test_in_two_hundred_comparisons_of_equal_versions_at_most_one_gates() -> None:
    alarms = 0
    for seed in range(200):
        answer = api(random.Random(seed))
        found = changes([answer() for _ in range(60)], [answer() for _ in range(60)])
        alarms += bool(gating(found))
    assert alarms <= 1


def test_the_same_simulation_finds_one_field_that_changed() -> None:
    for seed in range(10):
        answer = api(random.Random(seed))
        after = [json.loads(json.dumps(answer())) for _ in range(60)]
        for one in after:
            for item in one["items"]:
                item["price"] = str(item["price"])
        found = gating(changes([answer() for _ in range(60)], after))
        assert found == ["contract: GET /orders/[id] 200 $.items[*].price type"]


def test_the_stored_form_is_what_was_learnt() -> None:
    learner = ContractLearner()
    learner.take(sample({"a": [1, None]}))
    (contract,) = contracts_of(learner.exhibits())
    assert contract.places["$.a[*]"].types == {"integer": 1, "null": 1}
