"""The tables. What a question is asked by is a column; everything else of a run is one JSON document.

A change here needs a migration in `migrations/versions/`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Names that both databases agree on: a migration can only drop a constraint whose name it knows.
NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

# SQLite numbers rows by itself only when the type is spelled INTEGER.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """The metadata that the migrations are compared with."""

    metadata = MetaData(naming_convention=NAMES)


class RunRow(Base):
    """One run. `document` is the RunRecord without the columns beside it."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "started_at", "number"),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    run_id: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    started_at: Mapped[str] = mapped_column(Text)
    ended_at: Mapped[str | None] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(Text)  # set when the run is finished
    # Said again, from `document` and `verdict`: a list of a thousand runs must not read those.
    title: Mapped[str] = mapped_column(Text)
    baseline_name: Mapped[str | None] = mapped_column(Text)
    baseline_run_id: Mapped[str | None] = mapped_column(Text)
    decision: Mapped[str | None] = mapped_column(Text)
    stage: Mapped[str | None] = mapped_column(Text)
    candidate: Mapped[str | None] = mapped_column(Text)
    sign_offs: Mapped[str | None] = mapped_column(Text)  # the end of their chain
    signed: Mapped[str | None] = mapped_column(Text)  # the last one, in a word


class BlockRow(Base):
    """One block of one side, packed: histograms make up nearly all of it."""

    __tablename__ = "blocks"

    run_number: Mapped[int] = mapped_column(
        _NUMBER, ForeignKey(RunRow.number, ondelete="CASCADE"), primary_key=True
    )
    side: Mapped[str] = mapped_column(Text, primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    index_in_round: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class FinalRow(Base):
    """The closing account of one worker."""

    __tablename__ = "finals"

    run_number: Mapped[int] = mapped_column(
        _NUMBER, ForeignKey(RunRow.number, ondelete="CASCADE"), primary_key=True
    )
    side: Mapped[str] = mapped_column(Text, primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker: Mapped[int] = mapped_column(Integer, primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class ExhibitRow(Base):
    """One further piece of evidence: the result of a check, a contract."""

    __tablename__ = "exhibits"

    run_number: Mapped[int] = mapped_column(
        _NUMBER, ForeignKey(RunRow.number, ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class SignOffRow(Base):
    """What a person decided on a run. Rows are only added."""

    __tablename__ = "sign_offs"

    run_number: Mapped[int] = mapped_column(
        _NUMBER, ForeignKey(RunRow.number, ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class BaselineRow(Base):
    """One version of a baseline's name. Rows are only added: the highest number is current."""

    __tablename__ = "baselines"
    __table_args__ = (Index(None, "name", "number"),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    run_number: Mapped[int] = mapped_column(
        _NUMBER, ForeignKey(RunRow.number, ondelete="RESTRICT"), index=True
    )


class LeaseRow(Base):
    """Who may load one target at this moment; gone when they have ended, or have not renewed it for too long."""

    __tablename__ = "leases"

    place: Mapped[str] = mapped_column(Text, primary_key=True)  # the target: "host:port"
    token: Mapped[str] = mapped_column(Text)  # of one taking: nobody renews or ends another's
    run_id: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    process: Mapped[str] = mapped_column(
        Text
    )  # which process of which machine that pid means, where it is known
    since: Mapped[str] = mapped_column(Text)
    renewed_at_s: Mapped[float] = mapped_column(Double)  # by the database's clock, since 1970
