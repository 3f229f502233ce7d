# SPDX-License-Identifier: Apache-2.0
# weftd in a container: `docker build -t weft .`, then for example
#
#   docker run -d --name weft --read-only -v weft:/var/lib/weft -p 9338:9338 -e WEFT_SEED=relay.example.org weft
#   docker exec weft weft status
#
# Every setting is a WEFT_* variable (weft.yaml(5)). Identity, mesh secret and store are in the volume.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    cmake ninja-build gcc libc6-dev pkg-config libsodium-dev libssl-dev libevent-dev libmsgpack-dev libsqlite3-dev \
    libyaml-dev libjansson-dev libcurl4-openssl-dev libseccomp-dev uthash-dev
WORKDIR /src
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF -DWEFT_WERROR=OFF -DCMAKE_C_FLAGS_RELEASE=-O2 >/dev/null && cmake --build --preset release --target weftd weft && \
    strip build/release/bin/weftd build/release/bin/weft

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    libsodium23 libssl3 libevent-core-2.1-7 libevent-extra-2.1-7 libsqlite3-0 libyaml-0-2 libjansson4 libcurl4 libseccomp2 \
    libmsgpackc2 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=build /src/build/release/bin/weftd /src/build/release/bin/weft /usr/local/bin/
# A volume takes its owner and mode from here.
RUN install -d -o 9338 -g 9338 -m 0700 /var/lib/weft
USER 9338:9338
ENV WEFT_STATE=/var/lib/weft
VOLUME /var/lib/weft
EXPOSE 9338
# A planned leave of at most five seconds.
STOPSIGNAL SIGTERM
# That it lives. Whether it has a link is `weft status --check ready`: no reason to restart it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["weft", "status", "--check", "live"]
CMD ["weftd"]
