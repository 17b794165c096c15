"""The file of statements: read whole, with every mistake named; parameters dealt the same way to both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearse.errors import ConfigError
from rehearse.load.statements import RowDeck, Statement, files_of, read_statements

BY_ID = "select * from orders where id = :id"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "statements.toml"


def mistakes(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_statements(file)
    return str(error.value).splitlines()


def one(*keys: str) -> str:
    return "[[statements]]\n" + "\n".join(keys)


def test_statements_have_names_weights_and_rows(file: Path) -> None:
    (file.parent / "ids.csv").write_text("id,note\n7,a\n8,\n")
    file.write_text(
        one("name = 'all'", "sql = '''\nselect 1::int, '12:30'\n'''")
        + "\n"
        + one("name = 'by id'", f"sql = '{BY_ID} and note = :note'", "weight = 3", "parameters = 'ids.csv'")
        + "\n"
        + one("name = 'inline'", f"sql = '{BY_ID}'", "parameters = [{ id = 7 }, { id = 2026-02-28 }]")
    )
    everything, by_id, inline = read_statements(file)
    assert everything == Statement("all", "select 1::int, '12:30'", 1, ({},))
    assert (by_id.weight, by_id.rows) == (3, ({"id": "7", "note": "a"}, {"id": "8", "note": None}))
    assert inline.rows[0] == {"id": 7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "statements.toml: has no statements"),
        ("statements = []", "statements.toml: has no statements"),
        ("[[statement]]", "statements.toml: statement: is an unknown key. Did you mean 'statements'?"),
        ("[[statements]", "statements.toml: is not valid TOML"),
        ("statements = [3]", "statements.toml: statements[0]: is not a table"),
        (
            one("name = 'a'", "sql = 'x'", "weigth = 2"),
            "statements.toml: statements[0] ('a'): weigth: is an unknown key. Did you mean 'weight'?",
        ),
        (one("sql = 'x'"), "statements.toml: statements[0]: name: is missing"),
        (one("name = ' '", "sql = 'x'"), "statements.toml: statements[0] (' '): name: ' ' is not a text"),
        (one("name = 'a'"), "statements.toml: statements[0] ('a'): sql: is missing"),
        (
            one("name = 'a'", "sql = 'x'", "weight = 0.5"),
            "statements.toml: statements[0] ('a'): weight: 0.5 is not a whole number from 1 to 1000",
        ),
        (one("name = 'a'", "sql = 'x'", "weight = true"), "weight: True is not a whole number"),
        (one("name = 'a'", f"sql = '{BY_ID}'"), "('a'): parameters: is missing; the sql has :id"),
        (one("name = 'a'", f"sql = '{BY_ID}'", "parameters = []"), "('a'): parameters: has no rows"),
        (one("name = 'a'", f"sql = '{BY_ID}'", "parameters = 5"), "parameters: is no list of rows"),
        (one("name = 'a'", f"sql = '{BY_ID}'", "parameters = [7]"), "parameters[0]: is not a row"),
        (
            one("name = 'a'", f"sql = '{BY_ID}'", "parameters = [{ id = 1 }, { ident = 7 }]"),
            "('a'): parameters[1]: has no 'id', and the sql has :id",
        ),
        (
            one("name = 'a'", f"sql = '{BY_ID}'", "parameters = [{ id = 1, idd = 7 }]"),
            "parameters[0]: has 'idd', and the sql has no :idd. Did you mean 'id'?",
        ),
        (
            one("name = 'a'", "sql = 'select 1'", "parameters = [{ id = 1 }]"),
            "parameters[0]: has 'id', and the sql has no :id. The sql has no parameters.",
        ),
        (
            one("name = 'a'", f"sql = '{BY_ID}'", "parameters = [{ id = { x = 1 } }]"),
            "parameters[0].id: is a table; a parameter is one value",
        ),
        (
            one("name = 'a'", f"sql = '{BY_ID}'", "parameters = 'none.csv'"),
            "parameters: 'none.csv' cannot be read: No such file",
        ),
        (
            one("name = 'a'", f"sql = '{BY_ID}'", "parameters = 'torn.csv'"),
            "parameters: 'torn.csv': line 3 has more or fewer cells than the first",
        ),
        (
            one("name = 'a'", "sql = 'x'") + "\n" + one("name = 'a'", "sql = 'y'"),
            "2 statements are named 'a'",
        ),
    ],
)
def test_a_mistake_names_file_statement_key_and_the_nearest_word(file: Path, text: str, said: str) -> None:
    (file.parent / "torn.csv").write_text("id\n7\n8,9\n")
    assert said in mistakes(file, text)[0]


def test_all_mistakes_are_named_at_once(file: Path) -> None:
    assert len(mistakes(file, one("nam = 'a'", "sql = 'x'", "weight = 'b'") + "\n" + one("name = 'b'"))) == 4


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"statements\.toml: cannot be read: No such file"):
        read_statements(file)


def test_rows_are_dealt_in_a_seeded_order_and_each_before_any_comes_again() -> None:
    rows = [{"id": number} for number in range(50)]
    first, second, other = (RowDeck(rows, seed) for seed in ("1", "1", "2"))
    dealt = [first.draw()["id"] for _ in range(100)]
    assert dealt == [second.draw()["id"] for _ in range(100)]
    assert dealt != [other.draw()["id"] for _ in range(100)]
    assert sorted(dealt[:50]) == sorted(dealt[50:]) == list(range(50))
    assert dealt[:50] != dealt[50:]


def test_the_files_of_a_scenario_are_found_without_running_it(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.py"
    scenario.write_text(
        "raise SystemExit('it was run')\nclass A(SqlUser):\n    statements = 'a.toml'\n"
        "class B(SqlUser):\n    statements: str = 'a.toml'\nclass C(HttpUser):\n    host = 'b.toml'\n"
    )
    (tmp_path / "a.toml").write_text(one("name = 'a'", f"sql = '{BY_ID}'", "parameters = 'ids.csv'"))
    (tmp_path / "ids.csv").write_text("id\n7\n")
    assert files_of(scenario) == (tmp_path / "a.toml", tmp_path / "ids.csv")
    scenario.write_text("class A(:")
    assert files_of(scenario) == ()


@pytest.mark.parametrize("content", [None, "[[statements]]\nname = 'a'"], ids=["no file", "no sql"])
def test_what_is_wrong_with_the_files_of_a_scenario_is_said_without_running_it(
    tmp_path: Path, content: str | None
) -> None:
    scenario = tmp_path / "scenario.py"
    scenario.write_text("class A(SqlUser):\n    statements = 'a.toml'\n")
    if content is not None:
        (tmp_path / "a.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"a\.toml"):
        files_of(scenario)
