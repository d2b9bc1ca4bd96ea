# The packages: built, read by lintian and rpm, then installed, upgraded, removed and purged in a Debian 12 of their own.

dynamic_program() {
  if [ -n "${YIZHAN_RELEASE_DYNAMIC:-}" ]; then
    dynamic=$(realpath "$YIZHAN_RELEASE_DYNAMIC")
  else
    cargo build --release --locked --bin yizhan || return
    dynamic=${CARGO_TARGET_DIR:-$tree/target}/release/yizhan
  fi
}
if ! dynamic_program; then
  echo "tests/release: the program for packages could not be built"
  failed=$((failed + 1))
  dynamic=
fi
debian=$work/debian
nfpm=$(command -v nfpm || echo "$tree/target/deploy-tools/bin/nfpm")
ready() { need "$@"; [ -n "$dynamic" ] || fail "there is no program"; [ -x "$nfpm" ] || skip "missing nfpm: run tests/install-peers"; }
deb() { echo "$out/yizhan_$1-1_$(dpkg --print-architecture).deb"; }
inside() { chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
# Runs the relay in the chroot as its user, in a network of its own.
relay() {
  # shellcheck disable=SC2016
  unshare -n sh -c 'ip link set lo up; exec chroot "$0" /usr/bin/env -i PATH=/usr/bin:/bin setpriv --reuid yizhan --regid yizhan --clear-groups \
    /bin/sh -c "yizhan run --config /etc/yizhan/yizhan.toml --data-dir /var/lib/yizhan --listen 127.0.0.1:2525 2>/tmp/log & echo \$! >/tmp/pid; wait"' "$debian" &
  until_true grep started "$debian/tmp/log"
  pid=$(cat "$debian/tmp/pid")
}
count() { inside setpriv --reuid yizhan --regid yizhan --clear-groups yizhan queue --data-dir /var/lib/yizhan list | grep -c 'someone@example.com' || :; }

packages_are_built() {
  ready dpkg-deb
  deploy/package "$dynamic" "$binary" "$out"
  # A second version, to upgrade to.
  VERSION=99.0.0 deploy/package "$dynamic" "$binary" "$work/next"
  ls "$out" | wc -l
}
packages_are_equal_when_built_twice() {
  ready dpkg-deb
  deploy/package "$dynamic" "$binary" "$work/again"
  local file
  for file in "$work"/again/*; do cmp "$file" "$out/$(basename "$file")"; done
}
# The address of the maintainer comes from the releaser ($MAINTAINER), so it is not judged here.
lintian_is_content() {
  ready lintian
  lintian --allow-root --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog \
    "$(deb "$version")" "$out/yizhan-mta_$version-1_all.deb"
}
deb_depends_on_what_the_program_needs() {
  ready objdump dpkg-deb
  local newest declared
  newest=$(objdump -T "$dynamic" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
  declared=$(dpkg-deb -f "$(deb "$version")" Depends | grep -o 'libc6 (>= [0-9.]*' | sed 's/.* //')
  dpkg --compare-versions "$declared" ge "$newest" || fail "needs glibc $newest, says $declared"
  objdump -p "$dynamic" | awk '/NEEDED/ { print $2 }' | grep -Ev '^(libc|libm|libgcc_s|ld-linux-x86-64|ld-linux-aarch64)\.so' && fail "a library that no dependency names"
  echo "= glibc $newest"
}
rpm_reads_its_packages() {
  ready rpm
  rpm -qpl "$out"/yizhan-"$version"-1.*.rpm | grep '^/usr/lib/systemd/system/yizhan.service$'
  rpm -qp --requires "$out"/yizhan-"$version"-1.*.rpm | grep glibc
  rpm -Kv --nosignature "$out"/yizhan-"$version"-1.*.rpm "$out"/yizhan-mta-"$version"-1.noarch.rpm
}
apk_and_ipk_have_their_files() {
  need tar
  tar -tzf "$out"/yizhan_"$version"-r1_*.apk 2>/dev/null | grep -c -e '^usr/bin/yizhan$' -e '^etc/init.d/yizhan$' | grep '^2$'
  tar -xzOf "$out"/yizhan_"$version"-1_*.ipk ./data.tar.gz | tar -tz | grep -c -e '/usr/bin/yizhan$' -e '/etc/init.d/yizhan$' | grep '^2$'
}
# Compares what the relay calls with what the unit lets through.
unit_lets_every_call_through() {
  need strace systemd-analyze setpriv python3 ip unshare
  local folder=$work/calls
  install -d -m 0700 -o 65532 -g 65532 "$folder"
  install -m 0600 -o 65532 -g 65532 /dev/stdin "$folder/code" <<<abcdefghijklmnop
  install -m 0755 "$binary" "$folder/yizhan"
  chmod 0711 "$work"
  unshare -n sh -c "
    ip link set lo up
    cd '$folder' && setpriv --reuid 65532 --regid 65532 --clear-groups env -i YIZHAN_PROVIDER=qq YIZHAN_USER=10000@qq.com YIZHAN_SECRET_FILE=code \
      YIZHAN_LISTEN=127.0.0.1:2525 YIZHAN_DATA_DIR='$folder/data' strace -f -qq -o '$folder/trace' ./yizhan run 2>'$folder/log' & relay=\$!
    python3 - <<'END'
import smtplib, time
for _ in range(200):
    try:
        with smtplib.SMTP('127.0.0.1', 2525, timeout=10) as relay:
            relay.sendmail('a@office.test', ['someone@example.com'], b'Subject: scan\r\n\r\n' + b'x' * 300000)
        break
    except OSError:
        time.sleep(0.05)
END
    pkill -TERM -P \$relay; wait \$relay"
  grep -q '250' "$folder/trace"
  sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$folder/trace" | sort -u >"$folder/used"
  systemd-analyze syscall-filter --no-pager 2>/dev/null >"$folder/sets"
  python3 - "$folder" <<'END'
import sys
sets, current = {}, None
for line in open(sys.argv[1] + "/sets"):
    if line.startswith("@"):
        current = sets.setdefault(line.strip(), [])
    elif line.startswith("    ") and not line.strip().startswith("#") and current is not None:
        current.append(line.strip())
def calls(name):
    return set().union(*(calls(one) if one.startswith("@") else {one} for one in sets[name]))
allowed = calls("@system-service") - calls("@privileged") - calls("@resources") | calls("@default")
used = set(open(sys.argv[1] + "/used").read().split())
assert len(used) > 40 and not used - allowed, used - allowed
print("=", len(used), "system calls")
END
}

debian_is_made() {
  ready mmdebstrap chroot unshare setpriv ip nsenter
  mmdebstrap --quiet --variant=apt --include=adduser,systemd bookworm "$debian" || skip "mmdebstrap cannot reach a mirror"
  cp -r "$out"/*.deb "$work/next"/*.deb "$debian/tmp/"
}
in_debian() { [ -x "$debian/usr/bin/dpkg" ] || skip "there is no chroot"; }
installs() {
  in_debian
  inside apt-get install -y -q --no-install-recommends "/tmp/$(basename "$(deb "$version")")" | tee "$work/installed"
  grep 'write /etc/yizhan/yizhan.toml' "$work/installed"
  [ "$(stat -c '%U %G %a' "$debian/usr/bin/yizhan")" = "root root 755" ]
  inside stat -c '%U %G %a' /etc/yizhan /var/lib/yizhan | tr '\n' ' ' | grep 'root yizhan 750 yizhan yizhan 700'
  inside yizhan --version
  # Nothing is started before there is an account, and nothing is enabled.
  [ ! -e "$debian/etc/systemd/system/multi-user.target.wants/yizhan.service" ]
  inside sh -c 'cd /; yizhan run --config /etc/yizhan/yizhan.toml' && fail "it ran without settings"
  inside sh -c 'yizhan man | grep -q "^.TH yizhan"'
}
keeps_mail_over_an_upgrade() {
  in_debian
  inside sh -c 'umask 027; printf "[account.main]\nprovider = \"qq\"\nuser = \"10000@qq.com\"\nsecret = { file = \"/etc/yizhan/code\" }\n" >/etc/yizhan/yizhan.toml
    echo abcdefghijklmnop >/etc/yizhan/code; chgrp yizhan /etc/yizhan/*'
  relay
  nsenter -t "$pid" -n python3 -c '
import smtplib
with smtplib.SMTP("127.0.0.1", 2525, timeout=10) as relay:
    relay.sendmail("a@office.test", ["someone@example.com"], "Subject: scan\r\n\r\nHello\r\n")'
  kill "$pid"; wait
  [ "$(count)" = 1 ]
  inside apt-get install -y -q --no-install-recommends "/tmp/$(basename "$(deb 99.0.0)")"
  [ "$(inside dpkg-query -W -f '${Version}' yizhan)" = 99.0.0-1 ]
  [ "$(count)" = 1 ]
  [ -s "$debian/etc/yizhan/code" ]
}
downgrades() {
  in_debian
  inside apt-get install -y -q --allow-downgrades --no-install-recommends "/tmp/$(basename "$(deb "$version")")"
  [ "$(count)" = 1 ]
}
becomes_sendmail() {
  in_debian
  inside apt-get install -y -q --no-install-recommends "/tmp/yizhan-mta_$version-1_all.deb"
  [ "$(inside readlink -f /usr/sbin/sendmail)" = /usr/bin/yizhan ]
  [ "$(inside readlink -f /usr/lib/sendmail)" = /usr/bin/yizhan ]
  inside newaliases
  inside apt-get remove -y -q yizhan-mta
  [ ! -e "$debian/usr/sbin/sendmail" ]
}
names_a_hand_made_installation() {
  in_debian
  inside install -m 0755 /usr/bin/yizhan /usr/local/bin/yizhan
  inside dpkg -i "/tmp/$(basename "$(deb "$version")")" | grep '/usr/local/bin/yizhan is of an earlier installation'
  inside rm /usr/local/bin/yizhan
}
keeps_the_queue_when_removed() {
  in_debian
  inside apt-get remove -y -q yizhan | grep 'the queue stays'
  [ ! -e "$debian/usr/bin/yizhan" ] && [ -s "$debian/var/lib/yizhan/queue.db" ] && [ -s "$debian/etc/yizhan/yizhan.toml" ]
  inside apt-get install -y -q --no-install-recommends "/tmp/$(basename "$(deb "$version")")"
  [ "$(count)" = 1 ]
}
deletes_the_queue_when_purged() {
  in_debian
  inside apt-get purge -y -q yizhan
  [ ! -e "$debian/var/lib/yizhan" ] && [ ! -e "$debian/etc/yizhan" ]
  [ -z "$(find "$debian"/usr "$debian"/etc "$debian"/lib/ -name '*yizhan*' ! -path '*/dpkg/*')" ]
}

for name in packages_are_built packages_are_equal_when_built_twice lintian_is_content deb_depends_on_what_the_program_needs rpm_reads_its_packages \
  apk_and_ipk_have_their_files unit_lets_every_call_through debian_is_made installs keeps_mail_over_an_upgrade downgrades becomes_sendmail \
  names_a_hand_made_installation keeps_the_queue_when_removed deletes_the_queue_when_purged; do
  check "$name"
done
