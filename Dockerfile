# metricsjob in a container. Its default command is the gateway:
#   docker build -t metricsjob .
#   docker run -p 127.0.0.1:9091:9091 -v metricsjob:/var/lib/metricsjob metricsjob
#   docker run -p 127.0.0.1:9464:9464 -v metricsjob:/var/lib/metricsjob -v ./jobs:/etc/metricsjob/jobs:ro metricsjob serve
#   docker run --rm metricsjob run backup -g db=customers --gateway http://pushgateway:9091
# The programs in examples/:
#   docker build -t metricsjob-examples --target examples .

FROM rust:1.95.0-slim-bookworm AS source
WORKDIR /src
COPY . .

FROM source AS build
# The caches stay from one build to the next, and are in no image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=metricsjob-target,target=/src/target \
    cargo build --release --locked \
    && install -D -t /out target/release/metricsjob

FROM source AS build-examples
# Quicker to build than what ships.
ENV CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=metricsjob-target,target=/src/target \
    cargo build --release --locked -p batch-job -p custom-exporter -p random-api -p stream-collector -p users-api \
    && install -D -t /out/examples target/release/batch-job target/release/custom-exporter target/release/random-api \
        target/release/stream-collector target/release/users-api

FROM debian:bookworm-slim AS base
# Any version of a stable Debian has the same certificates and time zones, and an older one has fewer.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 metricsjob \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/metricsjob --shell /usr/sbin/nologin metricsjob \
    && install -d -o metricsjob -g metricsjob -m 700 /var/lib/metricsjob
# By number, so that Kubernetes knows that it is not root.
USER 10001:10001
WORKDIR /var/lib/metricsjob

FROM base AS examples
COPY --from=build-examples /out/examples/ /usr/local/bin/

FROM base
COPY --from=build /out/metricsjob /usr/local/bin/
# A container's own loopback address is of no use to others: like the default command, serve listens on all addresses.
ENV METRICSJOB_STATE_DIR=/var/lib/metricsjob METRICSJOB_SERVE_LISTEN=:9464
VOLUME /var/lib/metricsjob
EXPOSE 9091 9464
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["metricsjob", "healthcheck"]
ENTRYPOINT ["metricsjob"]
CMD ["gateway", "--web.listen-address=:9091"]
