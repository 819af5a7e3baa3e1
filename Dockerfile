# An image for each service: docker build --build-arg SERVICE=carrito .
# It holds the service, the library that all of them share and what these need, and runs whichever of the service's
# programs it is told: its web process (the default), its worker (python -m carrito.worker) or its migrations
# (python -m carrito.init_db). It needs nothing writable but /tmp. With --build-arg EXTRA=temporal it can also run, and be,
# Temporal; only then is something kept, in /data. With EXTRA=observability it can send traces.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# Changes when the lock does: one layer, the same for all services.
FROM ${PYTHON_IMAGE} AS packages
ARG EXTRA
COPY deploy/requirements.lock requirements-temporal.lock requirements-telemetry.lock /
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --only-binary=:all: \
        --require-hashes -r /requirements.lock \
        $(case "$EXTRA" in (*temporal*) echo "-r /requirements-temporal.lock";; esac) \
        $(case "$EXTRA" in (*observability*) echo "-r /requirements-telemetry.lock";; esac)

FROM packages AS code
ARG SERVICE
RUN : "${SERVICE:?name one, as in --build-arg SERVICE=carrito}"
WORKDIR /app
COPY shared shared/
COPY ${SERVICE} ${SERVICE}/
# Whoever cloned it may have kept others from reading it; in an image, it is another user who runs it.
RUN chmod -R a+rX . && python -m compileall -q .

FROM ${PYTHON_IMAGE}
COPY --from=packages /venv /venv
ARG SERVICE
COPY --from=code /app /app
WORKDIR /app
RUN install -d -o 10001 -g 10001 /data
# What is set comes from the environment only.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SERVICE=${SERVICE} SETTINGS_FILES= \
    HEARTBEAT_FILE=/tmp/heartbeat
USER 10001:10001
EXPOSE 8000
CMD ["sh", "-c", "exec python -m gunicorn --config shared/http/gunicorn_conf.py --bind 0.0.0.0:8000 $SERVICE.app:app"]
