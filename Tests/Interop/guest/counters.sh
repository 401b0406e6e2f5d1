# What the guest's kernel has counted: by its SAs and by ppp0. Sourced, never run.

# sa_watch, then sa_bytes: how many bytes have come and left by the SAs that are there, and by those that have ended meanwhile.
# The kernel counts what ESP carries, without padding and headers.
sa_watch() {
    ip -s xfrm monitor SA >/run/monitor 2>&1 &
    echo $! >/run/monitor.pid
    until_true 3 test -e /run/monitor
}
sa_bytes() {
    nap 0.5
    kill "$(</run/monitor.pid)"
    { cat /run/monitor; ip -s xfrm state | sed 's/^src/Deleted src/'; } | awk -v own="$ADDRESS" '
        /^[^ \t]/ { direction = $1 != "Deleted" && $1 != "Expired" ? "" : $3 == own ? "out" : "in"; current = 0 }
        /lifetime current:/ { current = 1; next }
        current && direction { split($1, count, "("); bytes[direction] += count[1]; current = 0 }
        END { printf "%d %d\n", bytes["in"], bytes["out"] }'
}
# link_counters: what ppp0 has received and sent, in bytes and in packets, and how many packets the kernel's IPsec dropped.
link_counters() {
    local name value counters='' drops=0
    for name in rx_bytes tx_bytes rx_packets tx_packets; do counters+="$(</sys/class/net/ppp0/statistics/$name) "; done
    while read -r _ value; do drops=$((drops + value)); done </proc/net/xfrm_stat
    echo "$counters$drops"
}

# stream_down TIMES [CURL OPTION]...: the inside server's blob so many times in one stream; its checksum.
stream_down() {
    local times=$1
    shift
    curl -sS -m 1200 "$@" "http://$INSIDE/blob/$times" | sha256sum
}
