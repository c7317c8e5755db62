# Gome with bubblewrap, as an ordinary user. docs/deploy.md says how to run it.
FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap git libgomp1 make \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 gome
WORKDIR /opt/gome
COPY --chown=gome:gome . .
RUN chown gome:gome /opt/gome
USER gome
RUN make .venv/.synced
ENV PATH=/opt/gome/.venv/bin:$PATH
WORKDIR /home/gome
RUN mkdir .gome runs  # a volume of a folder that does not exist would be root's
VOLUME ["/home/gome/.gome", "/home/gome/runs"]
ENTRYPOINT ["gome"]
CMD ["--help"]
