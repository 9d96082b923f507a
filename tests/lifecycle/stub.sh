#!/bin/sh
# Stands for every command of a node: records its call in $STUB/calls, fails if $STUB/fail/<name>
# exists (with the status of its first line and the rest as its complaint), and otherwise does to the
# files of $STUB and $LIFECYCLE_ROOT what the command would do to the node.
name=${0##*/}
echo "$name $*" >>"$STUB/calls"
if [ -f "$STUB/fail/$name" ]; then
  read -r status <"$STUB/fail/$name"
  sed 1d "$STUB/fail/$name" >&2
  exit "$status"
fi
last=
for argument; do last=$argument; done

matching() { # lines of "<state> <package> <version>" whose package matches one of the patterns
  found=1
  while read -r state package version; do
    for pattern; do
      # shellcheck disable=SC2254 # the pattern is one
      case $package in
      $pattern)
        echo "$state $package $version"
        found=0
        break
        ;;
      esac
    done
  done <"$STUB/packages"
  return "$found"
}

entry() { # a line of a database, by its name or number
  while IFS= read -r line; do
    rest=${line#*:*:}
    if [ "${line%%:*}" = "$2" ] || [ "${rest%%:*}" = "$2" ]; then
      echo "$line"
      return 0
    fi
  done <"$LIFECYCLE_ROOT/etc/$1"
  return 2
}

case $name in
ip) cat "$STUB/addresses.json" ;;
findmnt)
  if [ -s "$STUB/late" ]; then
    read -r looks <"$STUB/late"
    if [ "$looks" -gt 0 ]; then
      echo $((looks - 1)) >"$STUB/late"
      exit 1
    fi
  fi
  grep " $last\$" "$STUB/mounts" | cut -d' ' -f1 | grep .
  ;;
mount) echo "$5 $6" >>"$STUB/mounts" ;;
umount)
  grep -v " $last\$" "$STUB/mounts" >"$STUB/mounts.new"
  mv "$STUB/mounts.new" "$STUB/mounts"
  ;;
mountpoint) grep -qx "$last" "$STUB/mountpoints" ;;
lustre_rmmod) echo 0 >"$STUB/efa" ;;
lnetctl)
  read -r efa <"$STUB/efa"
  read -r sent <"$STUB/sent"
  read -r step <"$STUB/traffic"
  echo $((sent + step)) >"$STUB/sent"
  printf 'net:\n    - net type: lo\n      local NI(s):\n        - nid: 0@lo\n          status: up\n'
  printf '    - net type: tcp\n      local NI(s):\n        - nid: 10.0.0.7@tcp\n'
  printf '          status: up\n          statistics:\n              send_count: %s\n' "$sent"
  [ "$efa" -eq 0 ] || printf '    - net type: efa\n      local NI(s):\n'
  while [ "$efa" -gt 0 ]; do
    printf '        - nid: 1.7.92.%s@efa\n          status: up\n          statistics:\n' "$efa"
    printf '              send_count: %s\n              recv_count: 1\n' "$sent"
    efa=$((efa - 1))
  done
  ;;
aws) cp "$STUB/client.zip" "$last" ;;
getent) entry "$1" "$2" ;;
groupadd) echo "$last:x:$2:" >>"$LIFECYCLE_ROOT/etc/group" ;;
useradd) echo "$last:x:$2:$4::$8:$6" >>"$LIFECYCLE_ROOT/etc/passwd" ;;
usermod) sed -i "s/^\($3:.*\)\$/\1$last/" "$LIFECYCLE_ROOT/etc/group" ;;
sacctmgr)
  case "$*" in
  *"show associations"*) cat "$STUB/associations" ;;
  *"add account"*) echo "${4#name=}||${5#parent=}|${6#fairshare=}" >>"$STUB/associations" ;;
  *"modify account"*)
    sed -i "s/^${5#name=}||.*/${5#name=}||${7#parent=}|${8#fairshare=}/" "$STUB/associations"
    ;;
  *"add user"*) echo "${5#account=}|${4#name=}||1" >>"$STUB/associations" ;;
  esac
  ;;
neuron-ls) cat "$STUB/neuron.json" ;;
nvidia-smi) cat "$STUB/nvidia.csv" ;;
dpkg-query)
  shift 2
  matching "$@"
  ;;
rpm)
  shift 4
  matching "$@" || true
  ;;
apt-mark)
  if [ "$1" = showhold ]; then
    cat "$STUB/held"
  else
    shift
    printf '%s\n' "$@" >>"$STUB/held"
  fi
  ;;
nproc) echo 192 ;;
systemctl)
  case $1 in
  is-active) grep -qx "$last" "$STUB/active" ;;
  start) echo "$last" >>"$STUB/active" ;;
  stop)
    grep -vx "$last" "$STUB/active" >"$STUB/active.new"
    mv "$STUB/active.new" "$STUB/active"
    ;;
  enable)
    case $last in
    *.mount)
      where=$(sed -n 's/^Where=//p' "$LIFECYCLE_ROOT/etc/systemd/system/$last")
      echo "$LIFECYCLE_ROOT$where" >>"$STUB/mountpoints"
      ;;
    esac
    ;;
  esac
  ;;
amazon-cloudwatch-agent-ctl)
  case "$*" in
  *status*) cat "$STUB/agent.json" ;;
  *) echo '{"status": "running"}' >"$STUB/agent.json" ;;
  esac
  ;;
chown | lctl | modprobe | sleep | sync) ;;
*)
  echo "nothing is known of $name" >&2
  exit 64
  ;;
esac
