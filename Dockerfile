# Two stages: the first builds the wheel, the second holds nothing but Python, the wheel and what it needs.
# Pass SOURCE_DATE_EPOCH as a build argument (the time of the commit) for the same wheel from the same commit.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG SOURCE_DATE_EPOCH
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
COPY connectors connectors
RUN python -m venv /opt/optsync \
 && python -m pip wheel --no-deps --wheel-dir /wheels . \
 && wheel=$(echo /wheels/optsync-*.whl) \
 && /opt/optsync/bin/pip install --no-compile -c constraints.txt "${wheel}[postgresql]" \
 && /opt/optsync/bin/pip uninstall --yes pip \
 && /opt/optsync/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/optsync/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="optsync" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/optsync /opt/optsync
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin optsync
ENV PATH=/opt/optsync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER optsync
# config.yaml is read from here, and the state database lives here unless the configuration says otherwise.
WORKDIR /data
VOLUME /data
EXPOSE 8080
# In a container `web.listen` must name 0.0.0.0:8080, or nobody outside reaches it.
# The check asks past any proxy: Docker hands those of its own configuration to every container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["optsync"]
CMD ["daemon"]
