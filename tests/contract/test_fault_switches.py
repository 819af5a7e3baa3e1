"""The commands of `docs/failures.md` switch faults on, and the document of `/faults` is valid."""

import json
import re

import pytest
import schemathesis

from shared.config import ROOT
from shared.fault_switches.model import Fault, FaultName
from shared.fault_switches.routes import FaultIn
from shared.fault_switches.steps import ENDPOINTS, requested_by, steps_of
from stack.processes import PROCESSES
from tests.contract.documents import app_of

LINE = re.compile(r"curl -X PUT localhost:(\d+)/faults/(\w+) -H \"\$json\" -d '([^']+)'")
LINES = LINE.findall((ROOT / "docs/failures.md").read_text())
PORTS = {str(port): process.package for process in PROCESSES.values() for port in process.ports.values()}


def test_there_is_a_line_for_each_fault() -> None:
    assert {name for _, name, _ in LINES} == set(FaultName)


@pytest.mark.parametrize(("port", "name", "body"), LINES)
def test_each_line_is_a_fault_of_the_service_that_it_is_sent_to(port: str, name: str, body: str) -> None:
    told = FaultIn.model_validate(json.loads(body))
    assert told.step in {"", *steps_of(PORTS[port]), *requested_by(PORTS[port])}
    Fault(told.step, FaultName(name), told.times, told.milliseconds, told.point)


@pytest.mark.parametrize("service", ENDPOINTS)
def test_the_document_with_faults_is_valid_and_without_has_none(service: str) -> None:
    with_faults = json.loads(app_of(service, faults=True).test_client().get("/openapi/openapi.json").data)
    schemathesis.openapi.from_dict(with_faults).validate()
    assert {"/faults", "/faults/{name}"} <= with_faults["paths"].keys()
    without = json.loads(app_of(service).test_client().get("/openapi/openapi.json").data)
    assert not [path for path in without["paths"] if "fault" in path]
