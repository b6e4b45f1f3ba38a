# syntax=docker/dockerfile:1
# One image for web workers, imports and migrations: `docker build -t replay .`
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/replay
# First what seldom changes, so that a change of the code builds in seconds.
COPY requirements.lock /src/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/replay/bin/python -m pip install --no-compile --require-hashes -r /src/requirements.lock
COPY . /src
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/replay/bin/python -m pip install --no-compile --no-deps /src \
 && find /opt/replay -name tests -path '*/site-packages/*' -prune -exec rm -rf {} + \
 && rm -rf /opt/replay/lib/python3.11/site-packages/pip \
 && python -m compileall -q -j 0 /opt/replay

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="replay" \
      org.opencontainers.image.description="Replays recorded telemetry to many browsers at once" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --home-dir /var/lib/replay --create-home replay
COPY --from=build /opt/replay /opt/replay
# The root file system may be read-only: only the data folder and /tmp are written to.
ENV PATH=/opt/replay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REPLAY_DATA_DIR=/var/lib/replay \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001
WORKDIR /var/lib/replay
VOLUME /var/lib/replay
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["replay", "health"]
ENTRYPOINT ["replay"]
CMD ["serve", "--no-imports"]
