# tokenmill in a container. From a checkout:
#
#     docker build --tag tokenmill .
#     docker run --rm --volume "$PWD:/work" tokenmill init my-folder
#     docker run --rm --volume "$PWD:/work" tokenmill run my-folder.toml
#
# With a GPU, on a base that has CUDA and a torch built for it; the container then needs `--gpus all`:
#
#     docker build --build-arg BASE=nvidia/cuda:13.0.2-base-ubuntu24.04 --build-arg TORCH='torch>=2.13' --tag tokenmill:cuda .
ARG BASE=python:3.13-slim-bookworm
FROM ${BASE}

ARG TORCH=torch==2.13.0+cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

SHELL ["/bin/sh", "-euc"]

# A base without Python, such as CUDA's, gets the one of its distribution.
# hadolint ignore=DL3008
RUN if ! python3 -c 'import venv, ensurepip'; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends python3 python3-venv; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    python3 -m venv /opt/tokenmill

# hadolint ignore=DL3064
ENV PATH=/opt/tokenmill/bin:$PATH \
    TOKENMILL_CACHE=/var/cache/tokenmill \
    PREFECT_SERVER_ANALYTICS_ENABLED=false

COPY . /src/tokenmill
# hadolint ignore=DL3013,DL3042
RUN case "$TORCH" in *+cpu) set -- --extra-index-url "$TORCH_INDEX";; esac; \
    pip install --no-cache-dir --constraint /src/tokenmill/constraints.txt "$@" "$TORCH" /src/tokenmill; \
    rm -rf /src/tokenmill; \
    mkdir -p "$TOKENMILL_CACHE"; \
    python -m pipeline.warm; \
    chmod -R a+rwX "$TOKENMILL_CACHE"

WORKDIR /work
ENTRYPOINT ["tokenmill"]
CMD ["--help"]
