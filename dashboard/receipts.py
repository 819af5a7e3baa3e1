"""Receipts of orders over HTTP: as a page, as JSON and as CSV."""

from uuid import UUID

from flask import Blueprint, Response, abort

from dashboard import pages
from dashboard.receipt import Receipt
from dashboard.receipt_files import as_csv, as_json
from dashboard.services import services
from dashboard.web import html, now
from shared.http.answers import Answer, respond

routes = Blueprint("receipts", __name__)

PATH = "/orders/<uuid:order_id>/receipt"


@routes.get(PATH)
def page(order_id: UUID) -> Response:
    """Show the receipt as a page."""
    return html(pages.receipt_page(_receipt(order_id), now()))


@routes.get(f"{PATH}.json")
def json_file(order_id: UUID) -> Response:
    """Send the receipt as JSON."""
    return respond(Answer(as_json(_receipt(order_id))))


@routes.get(f"{PATH}.csv")
def csv_file(order_id: UUID) -> Response:
    """Send the receipt as CSV."""
    name = f'attachment; filename="receipt-{order_id}.csv"'
    return Response(as_csv(_receipt(order_id)), mimetype="text/csv", headers={"Content-Disposition": name})


def _receipt(order_id: UUID) -> Receipt:
    found = services().receipt(str(order_id))
    if found is None:
        abort(404, f"There is no order {order_id}. One that was never made has no receipt.")
    return found
