"""Takes sagas that are due and drives each as far as it goes. Any number of executors work side by side."""

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from flask import Flask

from saga_orchestrator import store
from saga_orchestrator.config import Settings
from saga_orchestrator.domain import LeaseLost
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
from saga_orchestrator.participants import Participants
from shared import faults
from shared.db import is_unavailable
from shared.ids import new_id
from shared.wakeup import Listener

DATABASE_RETRY_SECONDS = 0.5  # how soon to try again when the database is away
log = structlog.get_logger()


class Executor:
    """One process's share of the sagas."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.name = f"{os.getpid()}-{new_id().hex[-8:]}"
        self._app = app
        self._settings = settings
        self._stopping = threading.Event()
        self._listener = Listener(settings.database_url, store.DUE)
        self._participants = Participants(settings, sleep=self._pause)
        self._hands: set[Hand] = set()
        self._any_hands = threading.Event()

    def stop(self) -> None:
        """Take nothing new; what is in hand is handed back after its present call. Safe in a signal handler."""
        self._stopping.set()
        self._any_hands.set()
        self._listener.wake()

    def run(self) -> None:
        """Work until told to stop."""
        keeper = threading.Thread(target=self._keep_leases, name="leases")
        keeper.start()
        with ThreadPoolExecutor(self._settings.executor_threads, "saga") as pool:
            while not self._stopping.is_set():
                try:
                    self._listener.open()
                    self._take_until_broken(pool)
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    log.warning("database unavailable", error=str(error).splitlines()[0])
                    self._stopping.wait(DATABASE_RETRY_SECONDS)
        keeper.join()
        self._listener.close()

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _take_until_broken(self, pool: ThreadPoolExecutor) -> None:
        while not self._stopping.is_set():
            free = self._settings.executor_threads - len(self._hands)
            taken = self._take(pool, free) if free else 0
            if taken < free:  # nothing else is due now
                with self._app.app_context(), db.transaction() as uow:
                    seconds = store.seconds_to_next(uow)
                self._listener.wait(seconds)
            else:
                self._listener.wait(None)  # until a hand is free

    def _take(self, pool: ThreadPoolExecutor, limit: int) -> int:
        with self._app.app_context(), db.transaction() as uow:
            leases = store.claim(uow, self.name, limit, self._settings.lease)
            faults.reach("executor.before_write.claim")
        faults.reach("executor.after_write.claim")
        for lease in leases:
            hand = Hand(lease)
            self._hands.add(hand)
            self._any_hands.set()
            pool.submit(self._drive_in_context, hand)
        return len(leases)

    def _drive_in_context(self, hand: Hand) -> None:
        saga_id = str(hand.lease.checkout.saga_id)
        with self._app.app_context(), structlog.contextvars.bound_contextvars(saga_id=saga_id):
            try:
                self._drive(hand)
            except LeaseLost as error:
                log.info("lease lost", detail=str(error))
            except Exception:
                log.exception("saga left to its lease")  # it becomes due again when the lease is over
            finally:
                self._hands.discard(hand)
                self._listener.wake()

    def _drive(self, hand: Hand) -> None:
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
            self._write(hand, store.decide, self._settings.lease)

    def _attempt(self, hand: Hand, command: Command) -> Outcome:
        hand.check()
        crosses = crosses_pivot(CHECKOUT, hand.lease.state, command)
        hand.move(started(hand.lease.state, command))
        if crosses:
            self._write(hand, store.decide, self._settings.lease)
        point = f"{command.step}.{command.direction}"
        faults.reach(f"executor.before_call.{point}")
        outcome = self._ask(hand, command)
        faults.reach(f"executor.after_call.{point}")
        if isinstance(outcome, Unknown):
            outcome = Unknown(outcome.error, deadline_passed=hand.deadline_left() <= 0)
        was_stuck = hand.lease.state.stuck
        hand.move(apply(CHECKOUT, hand.lease.state, command, outcome, self._settings.stuck_after))
        if hand.lease.state.stuck and not was_stuck:
            log.error("stuck", step=command.step, error=hand.lease.state.task(command.step).error)
            hand.note("stuck", detail=hand.lease.state.task(command.step).error)
        return outcome

    def _ask(self, hand: Hand, command: Command) -> Outcome:
        step = CHECKOUT[command.step]
        ask = step.do if command.direction is Direction.ACTION else step.undo
        if ask is None:
            raise LookupError(f"{command.step} has no compensation")
        try:
            return self._participants.ask(
                ask(hand.lease.checkout),
                lambda body: hand.learn(step, command, body),
                lambda tried: hand.tried(command, tried),
            )
        except Exception as error:  # a defect of ours; the saga waits for its correction, as for a service that is away
            log.exception("attempt failed", step=command.step)
            return Unknown(f"internal error: {type(error).__name__}")

    def _back_off(self, hand: Hand) -> float:
        """Seconds to wait: doubled each time up to a cap, with full jitter; not beyond the forward deadline."""
        state = hand.lease.state
        most = min(self._settings.retry_most, self._settings.retry_first * 2 ** min(state.unanswered, 20))
        seconds = random.uniform(self._settings.retry_first, max(self._settings.retry_first, most))  # noqa: S311
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

    def _keep_leases(self) -> None:
        """Renew leases and write progress of sagas that take long, all in one transaction."""
        while not self._stopping.is_set():
            self._any_hands.wait()
            self._stopping.wait(self._settings.progress)
            if not self._hands:
                self._any_hands.clear()
                if self._hands:  # taken between the two lines above
                    self._any_hands.set()
            try:
                self._write_progress()
            except Exception as error:
                if not is_unavailable(error):
                    self.stop()  # without its leases renewed this process would only be in others' way
                    raise
                log.warning("leases not renewed", error=str(error).splitlines()[0])  # they last for several rounds

    def _write_progress(self) -> None:
        oldest = time.monotonic() - self._settings.progress
        hands = [hand for hand in tuple(self._hands) if hand.wants_write(oldest, self._settings.lease / 3)]
        held = [hand for hand in hands if hand.lock.acquire(blocking=False)]  # others are being written just now
        try:
            leases = {id(hand.lease): hand for hand in held}
            if leases:
                with self._app.app_context(), db.transaction() as uow:
                    lost = store.progress(uow, [hand.lease for hand in held], self._settings.lease)
                    faults.reach("executor.before_write.progress")
                faults.reach("executor.after_write.progress")
                for hand in held:
                    hand.written()
                for lease in lost:
                    leases[id(lease)].lose()
        finally:
            for hand in held:
                hand.lock.release()
