# The bot in an image of its own: one static program, the certificates it needs to trust
# Slack and Heroku, and nothing else; it runs as nobody in particular. Time zones are in
# the program. The test TestDockerfile runs the build step below.
#
#   docker build -t zdd .
#   docker run --env-file deploy/zdd.env -v zdd:/data zdd doctor
#   docker run -d --restart=on-failure --env-file deploy/zdd.env -v zdd:/data zdd
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/bot ./cmd/bot
RUN mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/bot /bot
# 65532 is no user of any system. What it writes is the SQLite file, if no PostgreSQL is named.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
VOLUME /data
ENTRYPOINT ["/bot"]
CMD ["serve"]
