#!/usr/bin/env bash
# Start and stop a SLURM of this machine alone, for the tests: as root, without systemd, all of it in one folder.
#   tests/one_machine_slurm.sh start FOLDER    then, for every command of SLURM: export SLURM_CONF=FOLDER/slurm.conf
#   tests/one_machine_slurm.sh stop FOLDER
# The packages are slurm-wlm and munge. Two character devices stand in for GPUs.
set -euo pipefail
folder=$2
here=$(dirname "${BASH_SOURCE[0]}")
export SLURM_CONF=$folder/slurm.conf

stop() {
    for name in slurmd slurmctld munged; do
        if pid=$(cat "$folder/$name.pid" 2>/dev/null); then kill "$pid" 2>/dev/null || true; fi
    done
}

start() {
    mkdir -p "$folder"/{munge,state,spool}
    chmod 755 "$folder"
    dd if=/dev/urandom of="$folder/munge/key" bs=64 count=1 status=none
    chmod 600 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --seed-file="$folder/munge/seed" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munge/log"
    for number in 0 1; do mknod "$folder/gpu$number" c 1 3; done
    printf 'NodeName=%s Name=gpu File=%s/gpu[0-1]\n' "$(hostname -s)" "$folder" >"$folder/gres.conf"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cores=$(getconf _NPROCESSORS_ONLN) # nproc would heed OMP_NUM_THREADS
    sed -e "s|@DIR@|$folder|; s|@HOST@|$(hostname -s)|; s|@PORT@|$port|; s|@NEXT@|$((port + 1))|; s|@CPUS@|$cores|" \
        -e "s|@MEMORY@|$(free -m | awk '/^Mem/ {print int($2 * 0.9)}')|" "$here/slurm.conf" >"$SLURM_CONF"
    sed -i "s|@HOST@|$(hostname -s)|g; s|@DIR@|$folder|g" "$SLURM_CONF"
    slurmctld
    slurmd
    for _ in $(seq 100); do
        if sinfo --noheader --format=%T 2>/dev/null | grep -q -x idle; then return; fi
        sleep 0.1
    done
    echo "SLURM did not come up; its own words are in $folder/*.log:" >&2
    tail -n 5 "$folder"/*.log >&2
    return 1
}

case $1 in
start) trap 'stop' ERR; start ;;
stop) stop ;;
*) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
