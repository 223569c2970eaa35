# The Tidemark server. See docs/deployment.md.
#
#   docker build -t tidemark:0.1.0 .

FROM node:20.20.2-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No script of a package is needed to build: without them, nothing that was downloaded runs as root.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY src src
RUN npm run build

FROM node:20.20.2-bookworm-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# lmdb brings its binary as a package of its own, so this needs no script and no compiler either.
RUN npm ci --omit=dev --ignore-scripts

FROM node:20.20.2-bookworm-slim
LABEL org.opencontainers.image.title="Tidemark" \
      org.opencontainers.image.description="Message sequence numbers for chat conversations" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/node:20.20.2-bookworm-slim"
ENV NODE_ENV=production \
    TIDEMARK_RESP=0.0.0.0:6380 \
    TIDEMARK_HTTP=0.0.0.0:7380 \
    TIDEMARK_GRPC=0.0.0.0:7381
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
# The embedded store's folder. A new volume takes its owner from here.
RUN install -d -o node -g node -m 0700 /data
VOLUME /data
# By number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 6380 7380 7381
STOPSIGNAL SIGTERM
# Where HTTP has TLS, or another port, give a check of your own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7380/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve"]
