"""What people are shown of a saga's timeline: the same in either style."""

from typing import Any
from uuid import UUID

from shared.http.schemas import Time, View


class RequestOut(View):
    """A request to a service (`method`, `path`), or the `event` that it reacted to; and its body.

    It is not stored: a request follows from the saga and its definition, an event from the timeline. The billing
    address is left out of it.
    """

    method: str | None = None
    path: str | None = None
    event: str | None = None
    body: dict[str, Any]


class ResponseOut(View):
    """What a service answered: the `status` and body of its response, or the `event` that it published.

    `body` is kept of answers that are no plain success, up to 2,000 characters of it, and of every event. `error` says
    why nothing was done, or that no answer came.
    """

    status: int | None = None
    event: str | None = None
    body: dict[str, Any] | None
    error: str | None


class TimelineEntryOut(View):
    """One entry of a saga's timeline.

    Kinds: an `attempt` is one request of an orchestrated saga; an `event` is an event of a choreographed saga, with its
    publisher and its cause. Other kinds concern the saga as a whole: `by` is who requested it, `reason` why.

    Of an event, `taken_at` is when its publisher received the cause: the event waited in the queue until then, and was
    processed from then on. `handled_by` is the service that publishes an event because of this one; null when none
    does.

    `service` received the request, or published the event. Of a request, `together` is the number of sagas in the same
    HTTP request, `status_code` the status of the answer (null: no answer came), and `fault` the injected fault that the
    answer names. Of a compensation, `undoes` is the `id` of the entry for the action that it compensates. `request` and
    `response` are the bodies, or events, received and returned.
    """

    id: UUID
    kind: str
    service: str | None
    step: str | None
    direction: str | None
    attempt: int | None
    outcome: str | None
    started_at: Time
    finished_at: Time
    detail: str | None
    executor: str | None
    event_id: UUID | None = None
    event: str | None = None
    publisher: str | None = None
    cause: UUID | None = None
    received_at: Time | None = None
    taken_at: Time | None = None
    handled_by: str | None = None
    by: str | None = None
    reason: str | None = None
    together: int | None = None
    status_code: int | None = None
    fault: str | None = None
    undoes: UUID | None = None
    request: RequestOut | None = None
    response: ResponseOut | None = None


class TimelineOut(View):
    """All that happened to a saga, in order."""

    saga_id: UUID
    items: list[TimelineEntryOut]
