# The relay as a container: one program, the C library, the root certificates; no shell, no root.
#
#   docker build -t yizhan .
#   docker run -d --name yizhan --stop-timeout 45 -p 192.168.1.5:25:2525 \
#     -v yizhan-queue:/var/lib/yizhan -v /etc/yizhan/secrets:/run/secrets:ro \
#     -e YIZHAN_PROVIDER=qq -e YIZHAN_USER=10000@qq.com -e YIZHAN_SECRET_FILE=/run/secrets/qq \
#     -e YIZHAN_ALLOW=192.168.1.0/24 yizhan
#
# docs/operations.md says what the addresses, the volume and the allow list must look like, and why.

ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# gcc compiles SQLite and aws-lc; nothing is fetched but the crates in Cargo.lock.
RUN cargo build --release --locked --bin yizhan \
 && install -D -m 0755 target/release/yizhan /out/usr/local/bin/yizhan \
 && install -d -m 0700 /out/var/lib/yizhan

# glibc, libgcc and ca-certificates, from the same Debian release as the build. Where gcr.io cannot be reached:
# `--build-arg BASE=debian:bookworm-slim`; that one has no root certificates, and then Mozilla's, built in, are used.
FROM ${BASE}
# The folder above it, so that owner and mode of the folder itself are kept.
COPY --from=build --chown=65532:65532 /out/var/lib/ /var/lib/
COPY --from=build /out/usr/local/bin/yizhan /usr/local/bin/yizhan
USER 65532:65532

# In a container the loopback address reaches nobody. Who may send is NOT set here: until YIZHAN_ALLOW names your
# networks, only the container itself may (everybody else gets 554 5.7.1).
ENV YIZHAN_LISTEN=0.0.0.0:2525 \
    YIZHAN_DATA_DIR=/var/lib/yizhan \
    YIZHAN__LOG__FORMAT=json
EXPOSE 2525
VOLUME ["/var/lib/yizhan"]
STOPSIGNAL SIGTERM
# `yizhan queue list` is no health check: while the relay is not up yet, it opens the queue itself and would be in its way.
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/yizhan"]
CMD ["run"]
