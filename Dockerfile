# syntax=docker/dockerfile:1
# Culvert's image: one binary, the five libraries it links, and ipsec-mb, which it uses where it finds it (x86-64 only).
# `docker build -t culvert .`; deploy/compose.yaml runs it.

FROM swift:6.3-bookworm AS build
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends \
        libssl-dev libnl-3-dev libnl-route-3-dev libnftables-dev zlib1g-dev pkg-config \
        $([ "$(dpkg --print-architecture)" != amd64 ] || echo libipsec-mb-dev) \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# Dependencies first: they change less often than our sources, and their layer is kept.
COPY Package.* ./
RUN swift package resolve
COPY Sources Sources
# The manifest names the tests' folders, so these must be there; what is in them is not built.
COPY Tests Tests
RUN swift build -c release --product culvert --static-swift-stdlib \
    && install -D -m 755 .build/release/culvert /out/culvert \
    && strip /out/culvert

FROM debian:bookworm-slim
# The user's number is fixed, so that volumes and tmpfs mounts can be given to it.
# Capabilities are set where the binary stays: copying from stage to stage may lose them. The tool for it goes in the
# same layer. The binary asks for exactly these three; a container that withholds one cannot start it.
RUN --mount=type=bind,from=build,source=/out,target=/out \
    apt-get update -q \
    && apt-get install -y -q --no-install-recommends libssl3 libnl-3-200 libnl-route-3-200 libnftables1 zlib1g libcap2-bin \
        $([ "$(dpkg --print-architecture)" != amd64 ] || echo libipsec-mb1) \
    && install -m 755 /out/culvert /usr/bin/culvert \
    && setcap cap_net_admin,cap_net_raw,cap_net_bind_service+ep /usr/bin/culvert \
    && apt-get purge -y -q --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 1701 culvert \
    && useradd --uid 1701 --gid culvert --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin culvert \
    && install -d -o culvert -g culvert -m 700 /var/lib/culvert \
    && install -d -o culvert -g culvert -m 750 /run/culvert
USER culvert
# What must outlive the container: the credentials that were made at the first start. Everything else is in memory, so
# the root file system may be read-only (give it a tmpfs at /run/culvert then).
VOLUME /var/lib/culvert
# IKE, and IKE and ESP behind a NAT. Without a NAT, clients send ESP itself (IP protocol 50), which Docker's port
# mapping does not carry; clients then go through UDP 4500 as well, because the mapping is a NAT.
EXPOSE 500/udp 4500/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["culvert", "sessions", "--json"]
# `docker run culvert` serves; `docker run culvert check --config FILE` and the other commands work as well.
ENTRYPOINT ["culvert"]
CMD ["serve"]
