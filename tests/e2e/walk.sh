#!/usr/bin/env bash
# The walk that a new user does with curl, in both styles, against services that run somewhere.
#
#   usage: tests/e2e/walk.sh [--help]
#
# It uses products and carts of its own, so it may be repeated, and run beside others. A line is printed for each thing
# that is as it should be. At the first that isn't, standard error has what was expected, what came and the request,
# and the exit status is 1. It needs bash 4.4, curl and python3. From the environment:
#
#   CARRITO_SERVICE_URL, INVENTARIO_SERVICE_URL, PAGOS_SERVICE_URL, ORCHESTRATOR_URL, CHOREOGRAPHY_URL
#                            where the services are; http://localhost:3000 to 3004 by default
#   ADMIN_TOKEN              sent with operators' requests
#   SERVICE_TOKEN            sent with the request for a new product
#   RABBITMQ_MANAGEMENT_URL  such as http://guest:guest@localhost:15672: look at the queues, too,
#   RABBITMQ_URL             in its virtual host; by default in /
#   WALK_WAIT_SECONDS        how long an end may take; 20 by default

set -euo pipefail

# Requests to this machine use no proxy; those to other hosts use the environment's.
others=${no_proxy:-${NO_PROXY:-}}
export no_proxy="localhost,127.0.0.1,::1${others:+,$others}"

carrito=${CARRITO_SERVICE_URL:-http://localhost:3000}
inventario=${INVENTARIO_SERVICE_URL:-http://localhost:3001}
pagos=${PAGOS_SERVICE_URL:-http://localhost:3002}
orchestrator=${ORCHESTRATOR_URL:-http://localhost:3003}
choreography=${CHOREOGRAPHY_URL:-http://localhost:3004}
seconds=${WALK_WAIT_SECONDS:-20}
run=$(date +%s)-$$-$RANDOM # in every sku and key
json=(-H 'Content-Type: application/json')
wait=(-H "Prefer: wait=$seconds")
checked=0 made=0

# Prints the value at each of the paths in the JSON that it reads. `*` is each of a list: their values, or "none".
# shellcheck disable=SC2016
pick='
import json, sys
def at(value, path):
    if not path:
        return [value]
    if path[0] == "*":
        return [found for each in value for found in at(each, path[1:])]
    return at(value[int(path[0]) if isinstance(value, list) else path[0]], path[1:])
text = sys.stdin.read()
for path in sys.argv[1:]:
    try:
        found = at(json.loads(text, parse_float=str), path.split("."))
    except (LookupError, TypeError, ValueError):
        found = ["(not there)"]
    print(*[each if isinstance(each, str) else json.dumps(each) for each in found] or ["none"])
'
pick() { python3 -IS -c "$pick" "$@" <<<"$body"; }

# Requests, and the expected answers

fail() { # WHAT: what is not as expected in the last answer
  printf '\nNOT SO: %s\n  expected  %s\n  came      %s\n  request   %s\n  answer    %.1000s\n' \
    "$1" "$wanted" "$came" "$(sed -E 's#(://)[^/@]*@#\1#' <<<"$request")" "$body" >&2
  exit 1
}

ask() { # METHOD URL [ARGUMENT OF CURL]...: its answer is in $status, $kind and $body
  local answer
  request="curl -X ${*@Q}" body='' wanted='an answer' came='none'
  answer=$(curl -sS --max-time $((seconds + 10)) -w '\n%{http_code} %{content_type}' -X "$@") || fail 'it answers'
  body=${answer%$'\n'*}
  read -r status kind <<<"${answer##*$'\n'}"
}

with() { # TOKEN, and as ask: the token is not among the arguments of curl, which others on the machine can see
  ask "${@:2}" -H @<(printf '%s' "${1:+Authorization: Bearer $1}")
}

operate() { with "${ADMIN_TOKEN:-}" "$@"; } # as ask, with what operators need
supply() { with "${SERVICE_TOKEN:-}" "$@"; } # as ask, with what the shop's own programs need

fits() { # STATUS [PATH PATTERN]...: whether the answer is like this, and a problem if it is an error
  local fit=0 path paths=() patterns=() values
  [[ $1 -lt 400 ]] && wanted="$1 application/json" || wanted="$1 application/problem+json"
  came="$status ${kind%%;*}"
  [[ $came == "$wanted" ]] || fit=1
  shift
  while (($#)); do paths+=("$1") patterns+=("$2") && shift 2; done
  mapfile -t values < <(pick "${paths[@]}")
  for path in "${!paths[@]}"; do
    wanted+=", ${paths[path]}: ${patterns[path]}" came+=", ${paths[path]}: ${values[path]}"
    # shellcheck disable=SC2053  # a pattern
    [[ ${values[path]} == ${patterns[path]} ]] || fit=1
  done
  return $fit
}

must() { fits "${@:2}" || fail "$1"; } # WHAT STATUS [PATH PATTERN]...
so() { must "$@" && printf '  ok  %s\n' "$1" && checked=$((checked + 1)); }
see() { ask GET "$2" && so "$1" 200 "${@:3}"; } # WHAT URL [PATH PATTERN]...

see_soon() { # as see, but what is put together from events may take a moment
  local until=$((SECONDS + seconds))
  while ask GET "$2" && ! fits 200 "${@:3}" && ((SECONDS < until)); do sleep 0.1; done
  so "$1" 200 "${@:3}"
}

# A customer

stock_up() { # QUANTITY: $product, a new one
  made=$((made + 1))
  supply POST "$inventario/api/products" "${json[@]}" \
    -d '{"name": "Tea", "price": "4.99", "quantity": '"$1"', "sku": "walk-'"$run-$made"'"}'
  must 'a new product' 201 available "$1" held 0 sold 0
  product=$(pick id)
}

fill_cart() { # QUANTITY: $cart, a new one with so many of $product
  ask POST "$carrito/carts" "${json[@]}" -d '{"user_id": "walker"}'
  must 'a new cart' 201 status open
  cart=$(pick id)
  ask POST "$carrito/carts/$cart/items" "${json[@]}" -d '{"product_id": '"$product"', "quantity": '"$1"'}'
  must 'the product is put into the cart' 201 'items.*.quantity' "$1"
}

wish() { # CART METHOD [MORE FIELDS]: the body of a checkout request
  local rest='"user_id": "walker", "billing_address": "1 High Street"'
  printf '{"cart_id": "%s", "payment_method": "%s", "saga_pattern": "%s", %s%s}' "$1" "$2" "$style" "$rest" "${3:-}"
}

check_out() { # METHOD STATUS [ARGUMENT OF CURL]...: $cart is, and its $saga ends like this
  ask POST "$carrito/checkout/saga" "${json[@]}" "${wait[@]}" "${@:3}" -d "$(wish "$cart" "$1")"
  so "paid by $1, the saga is $2" 200 status "$2" saga_pattern "$style" cart_id "$cart"
  saga=$(pick saga_id)
}

became() { # ORDERS PAYMENTS REFUNDED AVAILABLE SOLD CART: what the sagas of $cart made of everything
  see "order: $1" "$carrito/orders/saga/$cart" 'items.*.status' "$1"
  see "payment: $2, given back: $3" "$pagos/api/v1/payments/saga/$cart" 'items.*.status' "$2" 'items.*.refunded' "$3"
  see "stock: $4 on the shelf, $5 sold" "$inventario/api/products/$product" available "$4" held 0 sold "$5"
  see "cart: $6" "$carrito/carts/$cart" status "$6"
}

refused() { # WHAT STATUS [ARGUMENT OF CURL]...: a checkout that is no good
  ask POST "$carrito/checkout/saga" "${@:3}"
  so "$1 is refused: $2" "$2" status "$2" type '/problems/?*' title '?*' detail '?*'
}

# The walk

service() { # NAME URL
  see "$1 is well" "$2/health" status ok service "$1"
  see "$1 describes itself" "$2/openapi/openapi.json" openapi '3.1.*' info.title "$1"
}

success() { # and again, and undone
  local key=(-H "Idempotency-Key: walk-$run-$style") list=$window$listed'?cart_id='
  printf ' A success\n'
  stock_up 10
  fill_cart 2
  check_out credit_card completed "${key[@]}"
  became confirmed captured 0.00 8 2 checked_out
  see_soon 'every step of it succeeded' "$window/$saga" status completed total 9.98 \
    'steps.*.name' 'reserve_inventory process_payment create_order commit_inventory' \
    'steps.*.status' 'succeeded succeeded succeeded succeeded'
  see_soon 'its timeline tells of them in order' "$window/$saga/timeline" \
    "items.0.$told" "$first" 'items.*.step' '*reserve_inventory*process_payment*create_order*commit_inventory*' \
    "items.-1.$told" "$last"
  see_soon 'it is found by its cart' "$list$cart" 'items.*.saga_id' "$saga"
  printf ' The same again, under the same Idempotency-Key\n'
  local before=$saga
  check_out credit_card completed "${key[@]}"
  so 'it is the same saga' 200 saga_id "$before"
  became confirmed captured 0.00 8 2 checked_out
  see 'it is the only one of its cart' "$list$cart" 'items.*.saga_id' "$before"
  printf ' Undone by an operator\n'
  operate POST "$window/$saga/compensate" "${json[@]}" "${wait[@]}" -d '{"reason": "changed my mind", "by": "walk.sh"}'
  so 'the saga is compensated' 202 saga_id "$saga" status compensated
  became cancelled refunded 9.98 10 0 open
}

declined_card() {
  printf ' A declined card\n'
  stock_up 10
  fill_cart 2
  check_out declined_card compensated
  so 'it says why' 200 error 'process_payment: *declined*' order_id null
  became none declined 0.00 10 0 open
  check_out credit_card completed
  became confirmed 'declined captured' '0.00 0.00' 8 2 checked_out
}

shortage() {
  printf ' The last one in two carts\n'
  stock_up 1
  fill_cart 1
  local second=$cart
  fill_cart 1
  check_out paypal completed
  became confirmed captured 0.00 0 1 checked_out
  cart=$second
  check_out paypal compensated
  so 'it says why' 200 error "reserve_inventory: *product $product: 1 wanted, 0 available*" payment_id null
  became none none none 0 1 open
}

bad_input() {
  printf ' What is no good\n'
  stock_up 10
  fill_cart 2
  refused 'malformed JSON' 400 "${json[@]}" -d '{"cart_id": '
  refused 'another content type' 415 -H 'Content-Type: text/plain' -d "$(wish "$cart" paypal)"
  refused 'an unknown field' 422 "${json[@]}" -d "$(wish "$cart" paypal ', "colour": "red"')"
  so 'it is named' 422 'errors.*.field' colour
  refused 'an unknown cart' 404 "${json[@]}" -d "$(wish 00000000-0000-4000-8000-000000000000 paypal)"
  became none none none 10 0 open
  check_out paypal completed
  refused 'a cart that was checked out' 409 "${json[@]}" -d "$(wish "$cart" paypal)"
  so 'its saga is named' 409 saga_id "$saga" cart_status checked_out
  became confirmed captured 0.00 8 2 checked_out
}

walk() { # STYLE, WHERE ITS SAGAS ARE SEEN, AND LISTED; WHAT A TIMELINE IS TOLD BY, ITS FIRST AND ITS LAST
  style=$1 window=$2 listed=$3 told=$4 first=$5 last=$6
  printf '\n%s\n' "${style^}"
  success
  declined_card
  shortage
  bad_input
}

queues() { # PATH PATTERN QUEUE...: what the broker's management API says of each, if we are told where that is
  local queue vhost=%2F
  [[ ${RABBITMQ_URL:-} =~ ^amqps?://[^/?]*/([^/?]+) ]] && vhost=${BASH_REMATCH[1]}
  [[ -n ${RABBITMQ_MANAGEMENT_URL:-} ]] || return 0
  printf '\nQueues\n'
  for queue in "${@:3}"; do
    see_soon "$queue: $1 $2" "$RABBITMQ_MANAGEMENT_URL/api/queues/$vhost/$queue" name "$queue" "$1" "$2"
  done
}

case $* in
  '') ;;
  --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" && exit ;;
  *) printf 'It takes no arguments but --help.\n' >&2 && exit 2 ;;
esac
printf 'Services\n'
service carrito "$carrito"
service inventario "$inventario"
service pagos "$pagos"
service saga_orchestrator "$orchestrator"
service saga_choreography "$choreography"
reacting=(carrito inventario pagos saga_choreography)
queues consumers '[1-9]*' "${reacting[@]}"
queues messages 0 "${reacting[@]/%/.dead}"
walk orchestrated "$orchestrator/saga" '' kind accepted completed
walk choreographed "$choreography/saga/choreography" /status event checkout.initiated checkout.completed
queues messages 0 "${reacting[@]/%/.dead}"
operate GET "$choreography/saga/choreography/dead-letters"
so 'there are no dead letters' 200 'items.*' none
printf '\nAll %d things are as they should be.\n' "$checked"
