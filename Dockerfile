# The relay as an image: one static program, root certificates, time zones; no shell, no C library, no root.
#
#   docker build -t yizhan:0.1.0 .
#   docker run -d --name yizhan --stop-timeout 45 --read-only --tmpfs /tmp --cap-drop all \
#     --security-opt no-new-privileges -p 192.168.1.5:25:2525 \
#     -v yizhan-queue:/var/lib/yizhan -v /etc/yizhan/secrets:/run/secrets/yizhan:ro \
#     -e YIZHAN_PROVIDER=qq -e YIZHAN_USER=10000@qq.com -e YIZHAN_SECRET_FILE=/run/secrets/yizhan/code \
#     -e YIZHAN_ALLOW=192.168.1.0/24 -e TZ=Asia/Shanghai yizhan:0.1.0
#
# docs/install.md says what the addresses, the volume and the allow list must look like, and why.
#
# From China, where Docker Hub and crates.io are slow or cannot be reached, name mirrors that you trust, for example:
#   --build-arg RUST_IMAGE=docker.m.daocloud.io/library/rust:1.95-bookworm
#   --build-arg CRATES_MIRROR=sparse+https://rsproxy.cn/index/
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM ${RUST_IMAGE} AS build
ARG CRATES_MIRROR=""
WORKDIR /src
COPY . .
# gcc compiles SQLite and aws-lc; nothing is fetched but the crates in Cargo.lock, whose digests hold for a mirror, too.
# With --target the flag counts for the program alone: build scripts and macros cannot be linked statically.
RUN set -eu; \
    mirror() { printf '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "%s"\n' "$1"; }; \
    [ -z "$CRATES_MIRROR" ] || mirror "$CRATES_MIRROR" >>"$CARGO_HOME/config.toml"; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" cargo build --release --locked --bin yizhan --target "$target"; \
    deploy/image/rootfs /out; \
    install -m 0755 "target/$target/release/yizhan" /out/root/usr/local/bin/

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="Yizhan 驿站" \
      org.opencontainers.image.description="SMTP relay: plaintext mail in on port 25, clean mail out through your mailbox provider" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/root/ /
# The folder above it, so that owner and mode of the folder itself are kept.
COPY --from=build --chown=65532:65532 /out/data/ /var/lib/
USER 65532:65532

# No client reaches the loopback address of a container. The networks that may send are NOT set here: until YIZHAN_ALLOW
# names them, only the container itself may send; other clients get 554 5.7.1.
ENV YIZHAN_LISTEN=0.0.0.0:2525 \
    YIZHAN_DATA_DIR=/var/lib/yizhan \
    YIZHAN__LOG__FORMAT=json
EXPOSE 2525
VOLUME ["/var/lib/yizhan"]
STOPSIGNAL SIGTERM
# It asks the running relay and never opens the queue. 1 also when the queue cannot be written; nothing restarts for that.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/usr/local/bin/yizhan", "health", "--ready"]
ENTRYPOINT ["/usr/local/bin/yizhan"]
CMD ["run"]
