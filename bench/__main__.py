"""`make bench`: checkouts under load on the running stack, in each style, beside the same calls without durability.

Exit status: 0 when everything ended as it should and the books balance, else 1.
"""

import argparse
import json
import sys
from collections.abc import Set
from contextlib import ExitStack
from pathlib import Path

from bench import engines, peers
from bench.checkouts import stock_up
from bench.counts import Counters
from bench.cpu import components
from bench.plan import LOADS, PER_CLIENT, Plan
from bench.progress import Progress
from bench.report import Results
from bench.rounds import Bench
from bench.styles import DBOS, STYLES, TEMPORAL
from stack import settings
from stack.audit import run as audit
from stack.demo.shop import Shop
from stack.errors import StackError
from stack.home import Home
from stack.meters import Postgres, RabbitMQ

ORCHESTRATOR = "saga_orchestrator"
AUDIT_SECONDS = 60  # to wait for sagas to end


def _plan(arguments: argparse.Namespace, services: Set[str]) -> Plan:
    available = [name for name, (_, service) in STYLES.items() if service is None or service in services]
    styles = arguments.styles or available
    if unknown := set(styles) - set(available):
        raise StackError(f"No such style here: {', '.join(sorted(unknown))}. There are: {', '.join(available)}")
    return Plan(
        styles=tuple(styles),
        loads=("hot",) if arguments.hot else LOADS,
        concurrencies=tuple(arguments.concurrency),
        sagas=arguments.sagas,
        rounds=arguments.rounds,
        declines=arguments.declines,
    )


def _settings(home: Home) -> dict[str, str]:
    told = settings.user_settings() | settings.read_env_file(home.env_file)
    if "DATABASE_URL" not in told:
        raise StackError("Nothing seems to be up: make up")
    return told


def _measure(home: Home, urls: dict[str, str], arguments: argparse.Namespace) -> Results:
    extra = {*([DBOS] if arguments.peers else ()), *([TEMPORAL] if arguments.engine == TEMPORAL else ())}
    plan = _plan(arguments, {*urls, *extra})
    told = _settings(home)
    with ExitStack() as stack:
        others = {}
        if DBOS in extra:
            peer = stack.enter_context(peers.dbos(home, urls, told["DATABASE_URL"]))
            urls, others = {**urls, DBOS: peer.url}, {peer.pid: DBOS}
        if TEMPORAL in extra:
            peer = stack.enter_context(engines.builtin(home, told))
            urls = {**urls, TEMPORAL: urls[ORCHESTRATOR], ORCHESTRATOR: peer.url}
            others[peer.pid] = engines.BUILTIN
        return _measured(home, urls, told, plan, others)


def _measured(home: Home, urls: dict[str, str], told: dict[str, str], plan: Plan, others: dict[int, str]) -> Results:
    port = told.get("RABBITMQ_MANAGEMENT_PORT")
    postgres = Postgres(told["DATABASE_URL"])
    progress = Progress(len(plan.styles) + sum(1 for _ in plan.cases()))
    progress.show("stocking up")
    bench = Bench(
        urls=urls,
        counters=Counters({name: url for name, url in urls.items() if name != DBOS}, postgres),
        components=components(home) | others,
        postgres=postgres,
        rabbitmq=RabbitMQ(port) if port else None,
        products=stock_up(Shop(urls)),
    )
    try:
        messages = bench.warm_up(plan, progress)
        return Results(plan, bench.run(plan, progress), messages)
    finally:
        progress.clear()
        bench.close()


def _run(arguments: argparse.Namespace) -> bool:
    home = Home.at(arguments.home)
    urls = audit.urls_of(home)
    results = _measure(home, urls, arguments)
    print(results)
    findings = audit.check(urls, wait_seconds=AUDIT_SECONDS)
    print(f"\nAudit: {audit.report(findings) if findings.broken else audit.summary(findings)}")
    if arguments.json:
        books = {"clean": findings.clean, "broken": list(findings.broken)}
        arguments.json.write_text(json.dumps({**results.as_json(), "audit": books}, indent=2) + "\n")
    return findings.clean


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _positives(text: str) -> list[int]:
    return [_positive(each) for each in text.split(",")]


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise ValueError
    return float(text)


def _words(text: str) -> list[str]:
    return text.split(",")


def main() -> int:
    """Measure; see above for the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--styles", type=_words, help=f"of {', '.join(STYLES)}, by commas; all that run by default")
    parser.add_argument(
        "--concurrency", type=_positives, default="1,8,32,128", help="checkouts in flight, by commas (%(default)s)"
    )
    parser.add_argument(
        "--sagas",
        type=_positive,
        default=640,
        help=f"of each round, at most (%(default)s; {PER_CLIENT} for one in flight)",
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="of each case, the median counts (%(default)s)")
    parser.add_argument("--declines", type=_share, default=0.0, help="share of declined payments (%(default)s)")
    parser.add_argument("--hot", action="store_true", help="one product for all only; by default also many products")
    parser.add_argument("--peers", action="store_true", help="run the same four steps on DBOS, too")
    parser.add_argument("--engine", choices=[TEMPORAL], help="run the orchestrated checkout on this engine, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file, too")
    parser.add_argument("--home", type=Path, help="the folder of the stack; .local by default")
    try:
        return 0 if _run(parser.parse_args()) else 1
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
