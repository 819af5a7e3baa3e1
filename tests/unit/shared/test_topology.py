"""With which arguments queues are declared."""

from itertools import chain

import pytest

from shared.topology import Topology, dead_queue

SIZE = "x-quorum-initial-group-size"


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_queue_that_is_there_fits_unless_a_number_of_replicas_is_set(partitions: int) -> None:
    """The broker compares this argument with that of the existing queue, and refuses another one."""
    topology = Topology(partitions)
    every = (topology.queue("pagos"), topology.dead_letters(), topology.partition("pagos"))
    assert SIZE not in set(chain(*every))
    with_number = Topology(partitions, 5)
    every = (with_number.queue("pagos"), with_number.dead_letters(), with_number.partition("pagos"))
    assert [each[SIZE] for each in every] == [5, 5, 5]


def test_one_partition_is_the_service_s_queue() -> None:
    assert (Topology(1).partitioned, Topology(2).partitioned) == (0, 2)


def test_a_partition_has_one_active_consumer_and_the_dead_letters_of_its_service() -> None:
    arguments = Topology(2).partition("pagos")
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-dead-letter-routing-key"] == dead_queue("pagos")
