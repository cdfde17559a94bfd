# One image for every role: `docker run … serve --role worker`. Settings come from the environment (README.md).

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The committed `.sqlx/` stands in for a database; the cache mounts keep a rebuild to what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    SQLX_OFFLINE=true cargo build --release --locked --package syncline --bin syncline \
    && cp target/release/syncline /syncline

FROM debian:bookworm-slim
# Roots for TLS to Merge and to Postgres.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /syncline /usr/local/bin/syncline
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/syncline/
USER 65532:65532
ENV SYNCLINE_LISTEN=0.0.0.0:8080
EXPOSE 8080
# SIGTERM drains: unfinished jobs go back without losing an attempt.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/syncline"]
CMD ["serve"]
