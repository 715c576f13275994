# docker build -t cellqa .
# docker run --rm -v "$PWD:/data" cellqa score --pred out --gt sharp --out results
FROM python:3.13-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# CPU builds of PyTorch; on machines with a CUDA device: --build-arg EXTRAS=zarr, and PyTorch by its own page
ARG EXTRAS=gan,zarr,czi,nd2,lif
RUN python -m venv /opt/cellqa \
    && /opt/cellqa/bin/pip install --no-cache-dir ".[${EXTRAS}]" -c constraints.txt \
       --extra-index-url https://download.pytorch.org/whl/cpu

FROM python:3.13-slim-bookworm
COPY --from=build /opt/cellqa /opt/cellqa
ENV PATH=/opt/cellqa/bin:$PATH NUMBA_CACHE_DIR=/tmp/numba MPLCONFIGDIR=/tmp/matplotlib
# files that it makes in /data belong to this user; --user "$(id -u):$(id -g)" makes them yours
RUN useradd --create-home --uid 1000 scientist
USER 1000
WORKDIR /data
ENTRYPOINT ["cellqa"]
CMD ["--help"]
