"""The SQLite file: how it is made, and every way in which it can be missing, broken or out of reach."""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url

from rehearse.errors import ConfigError, NotReady, StoreError
from rehearse.store import Store
from rehearse.store.database import reported
from tests.store.examples import block, change, finished, keep, record, sqlite_url


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_store_is_for_its_owner_only(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        store.begin_run(record())
        assert mode(file.parent) == 0o700
        assert {path.name: mode(path) for path in file.parent.iterdir()} == {
            "rehearse.db": 0o600,
            "rehearse.db-wal": 0o600,
            "rehearse.db-shm": 0o600,
        }


def test_a_closed_store_is_one_file(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record())
    assert [path.name for path in file.parent.iterdir()] == ["rehearse.db"]


def test_a_relative_url_means_where_the_store_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///.rehearse/rehearse.db") as store:
        monkeypatch.chdir("/")
        store.begin_run(record())
    assert (tmp_path / ".rehearse/rehearse.db").is_file()


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
def test_every_connection_is_durable_and_strict(file: Path, pragma: str, value: object) -> None:
    with Store.open(sqlite_url(file)) as store:
        for session in (store._database.reading(), store._database.writing()):
            with session as opened:
                assert opened.connection().exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


# broken files


def recorded(file: Path) -> None:
    with Store.open(sqlite_url(file)) as store:
        keep(store, record(), blocks=40)
        store.name_baseline("main", "run-1")


def cut_to(share: float) -> Callable[[Path], object]:
    return lambda file: os.truncate(file, int(file.stat().st_size * share))


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut to nothing": (cut_to(0), "is empty: it was cut short. Restore a copy"),
    "cut in its header": (lambda file: os.truncate(file, 50), "is damaged. Restore a copy"),
    "cut in the middle": (cut_to(0.5), "is damaged. Restore a copy"),
    "without its last page": (lambda file: os.truncate(file, file.stat().st_size - 4096), "is damaged"),
    "garbage": (lambda file: file.write_bytes(random.Random(1).randbytes(9000)), "is not a SQLite database"),
    "text": (lambda file: file.write_text("to be done\n" * 20), "is not a SQLite database"),
    "a folder": (make_folder, "cannot be opened. Give this user the file"),
}


@pytest.mark.parametrize(("break_it", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_with_what_to_do(
    file: Path, break_it: Callable[[Path], object], message: str
) -> None:
    recorded(file)
    break_it(file)
    with pytest.raises(StoreError) as caught:
        Store.open(sqlite_url(file))
    assert str(caught.value).startswith(f"sqlite:///{file} {message}")


def test_noise_in_the_file_is_never_taken_for_evidence(file: Path, tmp_path: Path) -> None:
    """Wherever 40 bytes of noise land: the store refuses, or the baseline is exactly what was recorded."""
    recorded(file)
    copy, rng = tmp_path / "copy.db", random.Random(3)
    outcomes = set()
    for _ in range(60):
        shutil.copy(file, copy)
        with copy.open("r+b") as opened:
            opened.seek(rng.randrange(file.stat().st_size - 40))
            opened.write(rng.randbytes(40))
        outcomes.add(read(copy))
    assert outcomes == {"refused", "whole"}


def test_a_file_that_was_cut_anywhere_is_never_taken_for_evidence(file: Path, tmp_path: Path) -> None:
    recorded(file)
    copy, rng = tmp_path / "copy.db", random.Random(4)
    for _ in range(30):
        shutil.copy(file, copy)
        os.truncate(copy, file.stat().st_size - rng.randrange(1, 9000))
        read(copy)


def read(file: Path) -> str:
    try:
        with Store.open(sqlite_url(file)) as store:
            baseline = store.baseline("main")
            blocks = store.blocks(baseline.run_id)
    except NotReady:
        return "refused"
    assert baseline == finished(record())
    assert blocks == tuple(block(index) for index in range(40))
    return "whole"


def test_a_deleted_store_is_a_new_one_without_baselines(file: Path) -> None:
    recorded(file)
    file.unlink()
    with Store.open(sqlite_url(file)) as store, pytest.raises(NotReady, match="There are none"):
        store.baseline("main")


def test_the_log_of_a_deleted_store_is_not_played_into_a_new_one(file: Path) -> None:
    recorded(file)
    file.unlink()
    log = file.with_name("rehearse.db-wal")
    log.write_bytes(b"left behind")
    with pytest.raises(StoreError, match=r"is gone, but its log rehearse.db-wal is still there"):
        Store.open(sqlite_url(file))
    log.unlink()
    Store.open(sqlite_url(file)).close()


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
def test_a_store_that_goes_away_while_it_is_open_is_noticed(file: Path, is_replaced: bool) -> None:
    with Store.open(sqlite_url(file)) as store:
        store.begin_run(record())
        if is_replaced:
            shutil.copy(file, file.with_name("copy"))
            file.with_name("copy").replace(file)
        else:
            file.unlink()
        with pytest.raises(StoreError, match="was deleted or replaced while it was open"):
            store.add_block("run-1", block())


def test_a_missing_table_is_damage(file: Path) -> None:
    recorded(file)
    change(file, "DROP TABLE blocks")
    with Store.open(sqlite_url(file)) as store, pytest.raises(StoreError, match="its schema is not complete"):
        store.blocks("run-1")


# out of reach


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to write everywhere."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own is closed to nobody."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_file_that_may_only_be_read_is_refused(open_folder: Path) -> None:
    file = open_folder / "rehearse.db"
    recorded(file)
    file.chmod(0o444)
    open_folder.chmod(0o555)
    with as_nobody(), pytest.raises(StoreError, match=r"cannot be (written|opened). Give this user the file"):
        Store.open(sqlite_url(file))
    open_folder.chmod(0o755)


def test_a_folder_that_may_only_be_read_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_nobody(), pytest.raises(StoreError, match="Permission denied"):
        Store.open(sqlite_url(open_folder / "new" / "rehearse.db"))
    open_folder.chmod(0o755)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        Store.open(sqlite_url(tmp_path / "file" / "rehearse.db"))


# the url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the store url cannot be read"),
        ("rehearse.db", "the store url cannot be read"),
        ("postgresql://u:hidden@host:port/x", "the store url cannot be read"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///x.db?mode=ro", "must name a file"),
        ("sqlit:///x.db", "begins with 'sqlit'. Did you mean 'sqlite'"),
        ("mysql://u:hidden@host/x", "begins with 'mysql'. Known: postgresql, postgresql"),
    ],
)
def test_a_url_that_is_no_store_is_a_usage_error(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Store.open(url)
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://rehearse:hidden@127.0.0.1:9/runs",
        "postgresql://127.0.0.1:9/runs?user=rehearse&password=hidden",
        "postgresql://rehearse:hidden@127.0.0.1:9/runs?no_such_option=hidden",
    ],
    ids=["in the url", "in the query", "in an option"],
)
def test_a_server_that_cannot_be_reached_is_named_without_password(url: str) -> None:
    with pytest.raises(StoreError, match=r"^postgresql.*127.0.0.1:9/runs cannot be used: ") as caught:
        Store.open(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden@host/runs", "postgresql://u@host/runs?password=hidden&sslpassword=hidden"]
)
def test_a_driver_that_repeats_the_password_is_cut_short(url: str) -> None:
    with pytest.raises(StoreError) as caught, reported(make_url(url)):
        raise OSError("bad password 'hidden' in 'u:hidden@host'\nand hidden more")
    assert "bad password '***' in 'u:***@host'. Check" in str(caught.value)


def test_without_the_driver_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'upgrade-rehearsal\[postgres\]'"):
        Store.open("postgresql://rehearse:hidden@127.0.0.1/runs")
