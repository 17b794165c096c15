# One image for the command and for the sample shop. Every package is checked against the hashes of the lock.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/rehearse
ENV PATH=/opt/rehearse/bin:$PATH
WORKDIR /source
COPY requirements-run.lock .
RUN pip install --quiet --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY rehearse rehearse
RUN pip install --quiet --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 rehearse \
    && mkdir --parents /data /project/.rehearse /project/reports \
    && chown --recursive rehearse:rehearse /data /project
COPY --from=build /opt/rehearse /opt/rehearse
ENV PATH=/opt/rehearse/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /project
COPY --chown=rehearse:rehearse rehearse.toml ./
COPY --chown=rehearse:rehearse scenarios scenarios
COPY --chown=rehearse:rehearse checks checks
USER rehearse
ENTRYPOINT ["rehearse"]
CMD ["--help"]
