"""Drives one saga as far as it goes: asks the engine what comes next, the participants for it, and writes it down."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.engine import (
    Command,
    Direction,
    Outcome,
    Succeeded,
    Unknown,
    apply,
    crosses_pivot,
    next_command,
    started,
)
from saga_orchestrator.hand import Hand
from saga_orchestrator.models import db
from saga_orchestrator.orchestrator import CHECKOUT
from saga_orchestrator.participants import Participants, Try
from shared import faults
from shared.db import is_unavailable

DATABASE_RETRY_SECONDS = 0.5  # how soon to try again when the database is away
log = structlog.get_logger()


class Driver:
    """Safe to use from many threads, each with a saga of its own."""

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._participants = Participants(settings, sleep=self._pause)

    def drive(self, hand: Hand) -> None:
        """Until the saga has ended, waits for its next attempt, or is to be handed back. Raises `LeaseLost`."""
        lease = hand.lease
        while (command := next_command(CHECKOUT, lease.state)) is not None:
            if self._stopping.is_set():
                self._write(hand, store.hand_back, 0.0)
                return
            forward = not lease.state.backward
            outcome = self._attempt(hand, command)
            if forward and lease.state.backward:
                self._turned_back(hand)
            elif not isinstance(outcome, Succeeded):
                self._write(hand, store.hand_back, self._back_off(hand))
                return
        hand.note(lease.state.status)
        self._write(hand, store.end)
        log.info("ended", status=lease.state.status)

    def _turned_back(self, hand: Hand) -> None:
        """The decision is durable before the first compensation goes out."""
        state = hand.lease.state
        log.info("compensating", reason=state.error)
        hand.note("compensating", detail=state.error)
        if not state.ended:
            self._write(hand, store.decide, self._settings.lease_seconds)

    def _attempt(self, hand: Hand, command: Command) -> Outcome:
        hand.check()
        crosses = crosses_pivot(CHECKOUT, hand.lease.state, command)
        hand.move(started(hand.lease.state, command))
        if crosses:
            self._write(hand, store.decide, self._settings.lease_seconds)
        point = f"{command.step}.{command.direction}"
        faults.reach(f"executor.before_call.{point}")
        outcome = self._ask(hand, command)
        faults.reach(f"executor.after_call.{point}")
        if isinstance(outcome, Unknown):
            outcome = Unknown(outcome.error, deadline_passed=hand.deadline_left() <= 0)
        was_stuck = hand.lease.state.stuck
        hand.move(apply(CHECKOUT, hand.lease.state, command, outcome, self._settings.stuck_after_attempts))
        if hand.lease.state.stuck and not was_stuck:
            log.error("stuck", step=command.step, error=hand.lease.state.task(command.step).error)
            hand.note("stuck", detail=hand.lease.state.task(command.step).error)
        return outcome

    def _ask(self, hand: Hand, command: Command) -> Outcome:
        step = CHECKOUT[command.step]
        ask = step.do if command.direction is Direction.ACTION else step.undo
        if ask is None:
            raise LookupError(f"{command.step} has no compensation")
        began = datetime.now(UTC)
        try:
            return self._participants.ask(
                ask(hand.lease.checkout),
                lambda body: hand.learn(step, command, body),
                lambda tried: hand.tried(command, tried),
            )
        except Exception as error:  # a defect, ours or of an answer; the saga waits, as for a service that is away
            log.exception("attempt failed", step=command.step)
            outcome = Unknown(f"internal error: {type(error).__name__}")
            hand.tried(command, Try(began, datetime.now(UTC), outcome))
            return outcome

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _back_off(self, hand: Hand) -> float:
        """Seconds to wait: doubled each time up to a cap, with jitter; not beyond the forward deadline."""
        state = hand.lease.state
        most = min(
            self._settings.retry_most_seconds, self._settings.retry_first_seconds * 2 ** min(state.unanswered, 20)
        )
        seconds = random.uniform(self._settings.retry_first_seconds, max(self._settings.retry_first_seconds, most))  # noqa: S311
        left = hand.deadline_left()
        return min(seconds, left) if not state.backward and left > 0 else seconds

    def _write(self, hand: Hand, write: Callable[..., None], *arguments: float) -> None:
        """Write under the lease, as long as the database takes to come back. Raises `LeaseLost`."""
        with hand.lock:
            while True:
                try:
                    with db.transaction() as uow:
                        write(uow, hand.lease, *arguments)
                        faults.reach(f"executor.before_write.{write.__name__}")
                    faults.reach(f"executor.after_write.{write.__name__}")
                    return hand.written()
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    log.warning("write failed", kind=write.__name__, error=str(error).splitlines()[0])
                    if self._stopping.wait(DATABASE_RETRY_SECONDS):
                        raise
