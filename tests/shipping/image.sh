# The image: built from the last stage of the Dockerfile with the program of this run, then run as a cautious operator would.
#
# The first stage is not run: it needs an image registry. Its two steps, the build and deploy/image/rootfs, are.

export BUILDAH_ISOLATION=chroot
podman=(podman --log-level fatal --storage-driver vfs --root "$work/storage" --runroot "$work/run" --cgroup-manager cgroupfs --runtime runc)
buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
# podman cannot raise limits that this process has not; the rest is what docs/install.md says.
limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096)
cautious=("${limits[@]}" --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges)
image=localhost/yizhan:$version
# A provider that cannot be reached: mail stays in the queue.
account=(-e YIZHAN_PROVIDER=qq -e YIZHAN_USER=10000@qq.com -e YIZHAN_SECRET_FILE=/run/secrets/yizhan/code -e YIZHAN_HOSTNAME=relay.test)

engine() { need podman buildah runc python3 nsenter; }
clean_up() {
  local name
  for name in $("${podman[@]}" ps -aq); do "${podman[@]}" rm -f -t 0 "$name"; done
  awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/mounts | tac | xargs -r umount
} >/dev/null 2>&1

secret() {
  install -d -m 0700 -o 65532 -g 65532 "$work/secrets"
  install -m 0600 -o 65532 -g 65532 /dev/stdin "$work/secrets/code" <<<abcdefghijklmnop
}
# start NAME [podman options] -- [arguments of the program]
start() {
  local name=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  shift || :
  "${podman[@]}" run -d --name "$name" --network none "${cautious[@]}" -v "$work/secrets:/run/secrets/yizhan:ro" \
    "${account[@]}" "${options[@]}" "$image" "$@"
}
logs() { "${podman[@]}" logs "$1" 2>&1; }
# Reads to the end: a writer whose reader has gone would count as a failure.
says() { logs "$1" | grep "$2" >/dev/null; }
remove() { "${podman[@]}" rm -f -t 0 "$@" >/dev/null; }
# Waits for the end of a container that cannot start; prints its lines, and fails unless there is one that matches.
refuses() {
  local name=$1 wanted=$2
  until_true test "$("${podman[@]}" wait "$name")" != 0
  logs "$name" | grep -v '^{' | tee "$work/lines"
  grep -Eq "$wanted" "$work/lines" || { logs "$name"; fail "no line matches: $wanted"; }
  [ "$(wc -l <"$work/lines")" -le "${3:-1}" ] || fail "more than ${3:-1} lines"
}
# Sends one mail into the container, from inside its network.
mail() {
  nsenter -t "$("${podman[@]}" inspect "$1" --format '{{.State.Pid}}')" -n python3 - "${2:-2525}" <<'END'
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10) as relay:
    relay.sendmail("printer@office.test", ["someone@example.com"], "Subject: scan\r\n\r\nHello\r\n")
END
}
queued() { "${podman[@]}" exec "$1" yizhan queue list --json | python3 -c '
import json, sys
answer = json.load(sys.stdin)
print(len(answer if isinstance(answer, list) else answer["messages"]))'; }
has_health() { "$binary" health --help >/dev/null 2>&1 || skip "this program has no command health"; }

image_is_built_from_the_dockerfile() {
  engine
  secret
  deploy/image/rootfs "$work/image/out"
  install -m 0755 "$binary" "$work/image/out/root/usr/local/bin/yizhan"
  sed -n '/^FROM scratch/,$p' Dockerfile | sed 's/ --from=build\b//; s# /out/# out/#' >"$work/image/Containerfile"
  [ "$(grep -c '^COPY .*out/' "$work/image/Containerfile")" = 2 ]
  "${buildah[@]}" bud --format docker --timestamp 0 --build-arg "VERSION=$version" -t "$image" "$work/image"
  rm -f "$out/yizhan-$version-image.tar"
  "${buildah[@]}" push "$image" "oci-archive:$out/yizhan-$version-image.tar:yizhan:$version"
}
# 6 MiB to pull; 8 MiB is the limit once all planned parts are in.
image_is_small() {
  engine
  mkdir "$work/oci"
  tar -x -C "$work/oci" -f "$out/yizhan-$version-image.tar"
  local octets
  octets=$(cat "$work"/oci/blobs/sha256/* | wc -c)
  [ "$octets" -lt $((8 * 1024 * 1024)) ] || fail "$octets octets to pull"
  [ "$octets" -lt $((6 * 1024 * 1024)) ] || echo "more than 6 MiB"
  echo "= $octets octets to pull"
}
image_says_what_it_is() {
  engine
  "${podman[@]}" inspect "$image" >"$work/inspect"
  python3 - "$work/inspect" "$version" <<'END'
import json, sys
image = json.load(open(sys.argv[1]))[0]
config, labels = image["Config"], image["Labels"]
assert config["User"] == "65532:65532", config
assert config["StopSignal"] in ("SIGTERM", "15"), config
assert list(config["Volumes"]) == ["/var/lib/yizhan"], config
assert config["Entrypoint"] == ["/usr/local/bin/yizhan"] and config["Cmd"] == ["run"], config
assert image["HealthCheck" if "HealthCheck" in image else "Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/yizhan", "health", "--ready"], image
assert labels["org.opencontainers.image.version"] == sys.argv[2], labels
assert labels["org.opencontainers.image.licenses"] == "MIT OR Apache-2.0", labels
END
}
image_runs_read_only_and_stops_in_time() {
  engine
  start plain -v plain:/var/lib/yizhan -e TZ=Asia/Shanghai -- run
  until_true says plain '"event":"started"'
  local folder begun=$SECONDS
  folder=$("${podman[@]}" volume inspect plain --format '{{.Mountpoint}}')
  [ "$(stat -c '%u %a' "$folder")" = "65532 700" ]
  mail plain
  [ "$(queued plain)" = 1 ]
  "${podman[@]}" stop -t 45 plain
  [ $((SECONDS - begun)) -lt 40 ]
  [ "$("${podman[@]}" inspect plain --format '{{.State.ExitCode}}')" = 0 ]
  says plain '"event":"stopped","finished":true'
  remove plain
}
image_keeps_its_queue_over_kill() {
  engine
  start killed -v killed:/var/lib/yizhan -- run
  until_true says killed '"event":"started"'
  mail killed; mail killed
  "${podman[@]}" kill -s KILL killed
  remove killed
  start killed -v killed:/var/lib/yizhan -- run
  until_true says killed '"event":"started"'
  [ "$(queued killed)" = 2 ]
  remove killed
}
image_has_time_zones() {
  engine
  local zone=Asia/Shanghai offset=08:00
  for zone in Asia/Shanghai=+08:00 America/St_Johns=-0[23]:30 Asia/Kathmandu=+05:45 PRC=+08:00; do
    start zone -e "TZ=${zone%=*}" -- run
    until_true says zone '"event":"started"'
    offset=${zone#*=}
    says zone "^{\"time\":\"[^\"]*${offset/+/[+]}\"" || { logs zone; fail "TZ=$zone"; }
    remove zone
  done
}
image_has_roots() {
  engine
  "${podman[@]}" run --rm --network none "${limits[@]}" -v "$work:$work" "$image" --version
  local mounted
  mounted=$("${podman[@]}" image mount "$image")
  [ "$(grep -c BEGIN "$mounted/etc/ssl/certs/ca-certificates.crt")" -gt 100 ]
  "${podman[@]}" image unmount "$image"
}
image_listens_at_port_25() {
  engine
  start low --sysctl net.ipv4.ip_unprivileged_port_start=0 -e YIZHAN_LISTEN=0.0.0.0:25 -- run
  until_true says low '"event":"started"'
  mail low 25
  remove low
}
health_of_a_working_relay_is_0() {
  engine; has_health
  start sound -- run
  until_true says sound '"event":"started"'
  "${podman[@]}" healthcheck run sound
  "${podman[@]}" exec sound yizhan health --ready
  remove sound
}
health_is_1_when_the_queue_cannot_be_written() {
  engine; has_health
  mkdir -p "$work/tiny"
  mount -t tmpfs -o size=24m,uid=65532,gid=65532,mode=0700 tmpfs "$work/tiny"
  start full -v "$work/tiny:/var/lib/yizhan" -e YIZHAN__LIMITS__DISK_FREE=8MiB -- run
  until_true says full '"event":"started"'
  until_true "${podman[@]}" healthcheck run full
  dd if=/dev/zero of="$work/tiny/filler" bs=1M status=none || :
  mail full 2>/dev/null && fail "mail was taken on a full disk"
  not_healthy() { ! "${podman[@]}" healthcheck run full; }
  until_true not_healthy
  remove full
  umount "$work/tiny"
}

no_volume_is_named() {
  engine
  # The image declares a volume, so the engine makes an unnamed one, which `rm` removes.
  start bare -- run
  until_true says bare '"event":"started"'
  "${podman[@]}" inspect bare --format '{{range .Mounts}}{{.Destination}} {{.Name}}{{end}}' | grep '^/var/lib/yizhan [0-9a-f]\{64\}$'
  remove bare
}
volume_of_root_is_one_sentence() {
  engine
  install -d -m 0755 "$work/of-root"
  start owned -v "$work/of-root:/var/lib/yizhan" -- run
  refuses owned '/var/lib/yizhan.*Permission denied'
  remove owned
}
secret_that_cannot_be_read_is_one_sentence() {
  engine
  install -d -m 0755 "$work/closed"
  install -m 0600 /dev/stdin "$work/closed/code" <<<abcdefghijklmnop
  start closed -v "$work/closed:/run/secrets/closed:ro" -e YIZHAN_SECRET_FILE=/run/secrets/closed/code -- check
  "${podman[@]}" wait closed
  logs closed | grep -A3 secret
  logs closed | grep -qi 'permission'
  remove closed
}
port_in_use_is_one_sentence() {
  engine
  start first -- run
  until_true says first '"event":"started"'
  "${podman[@]}" run -d --name second --network container:first "${cautious[@]}" -v "$work/secrets:/run/secrets/yizhan:ro" "${account[@]}" "$image"
  refuses second 'another program listens on port 2525' 2
  remove second
  remove first
}
two_containers_on_one_volume_is_one_sentence() {
  engine
  start one -v shared:/var/lib/yizhan -- run
  until_true says one '"event":"started"'
  start two -v shared:/var/lib/yizhan -- run
  refuses two '/var/lib/yizhan'
  [ "$(queued one)" = 0 ]
  remove two one
}
unknown_time_zone_falls_to_utc() {
  engine
  start mars -e TZ=Mars/Base -- run
  until_true says mars '"event":"started"'
  logs mars
  says mars '^{"time":"[^"]*\(Z\|+00:00\)"'
  remove mars
}

for name in image_is_built_from_the_dockerfile image_is_small image_says_what_it_is image_runs_read_only_and_stops_in_time \
  image_keeps_its_queue_over_kill image_has_time_zones image_has_roots image_listens_at_port_25 \
  health_of_a_working_relay_is_0 health_is_1_when_the_queue_cannot_be_written \
  no_volume_is_named volume_of_root_is_one_sentence secret_that_cannot_be_read_is_one_sentence port_in_use_is_one_sentence \
  two_containers_on_one_volume_is_one_sentence unknown_time_zone_falls_to_utc; do
  check "$name"
done
