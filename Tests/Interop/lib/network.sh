# The network of one test run, all of it in network namespaces of this machine. Sourced, never run.
#
#                 inside 10.99.0.2 (http)
#                    |
#                 [gateway] 10.99.0.1          the gateway under test runs here
#                    | 192.0.2.1
#   direct     ------+------ bridge "wan" 192.0.2.0/24 ------+
#   192.0.2.11       |                                       |
#              [router-a] 192.0.2.200                  [router-b] 192.0.2.201
#                    | 192.168.77.1, masquerade              | the same private network
#           nat1 .11   nat2 .12                           far .11
#
# Every guest has a TAP device of its name in the namespace where it lives.

in_ns() { ip netns exec "$PREFIX-$1" "${@:2}"; }
ip_in() { ip -n "$PREFIX-$1" "${@:2}"; }

network_add() { # NAMESPACE
    ip netns add "$PREFIX-$1"
    ip_in "$1" link set lo up
}
network_link() { # NAMESPACE DEVICE NAMESPACE DEVICE: a cable between two namespaces
    ip link add "$2" netns "$PREFIX-$1" type veth peer name "$4" netns "$PREFIX-$3"
    ip_in "$1" link set "$2" up
    ip_in "$3" link set "$4" up
}
network_bridge() { # NAMESPACE
    ip_in "$1" link add bridge type bridge
    ip_in "$1" link set bridge up
}
network_tap() { # NAMESPACE DEVICE
    ip_in "$1" tuntap add dev "$2" mode tap
    ip_in "$1" link set "$2" master bridge up
}
network_router() { # NAMESPACE OUTER-ADDRESS: a home router
    network_add "$1"
    network_link wan "$1" "$1" wan
    ip_in wan link set "$1" master bridge
    ip_in "$1" addr add "$2/24" dev wan
    network_bridge "$1"
    ip_in "$1" addr add 192.168.77.1/24 dev bridge
    in_ns "$1" sysctl -qw net.ipv4.ip_forward=1
    in_ns "$1" nft -f - <<'NFT'
table ip home {
    chain out {
        type nat hook postrouting priority 100
        oifname "wan" masquerade
    }
}
NFT
}

network_up() {
    network_sweep
    network_add wan
    network_bridge wan
    network_tap wan direct

    network_add gateway
    network_link wan gateway gateway wan
    ip_in wan link set gateway master bridge
    ip_in gateway addr add "$GATEWAY_OUTER/24" dev wan
    in_ns gateway sysctl -qw net.ipv4.ip_forward=1

    network_add inside
    network_link inside lan gateway lan
    ip_in gateway addr add "$GATEWAY_INSIDE/24" dev lan
    ip_in inside addr add "$SERVER_INSIDE/24" dev lan
    ip_in inside route add default via "$GATEWAY_INSIDE"

    network_router router-a "$ROUTER_A"
    network_tap router-a nat1
    network_tap router-a nat2
    network_router router-b "$ROUTER_B"
    network_tap router-b far

    head -c "$((BLOB_MEGABYTES << 20))" /dev/urandom >"$WORK/blob"
    BLOB_SHA256=$(sha256sum "$WORK/blob")
    BLOB_SHA256=${BLOB_SHA256%% *}
    ip netns exec "$PREFIX-inside" /usr/bin/python3 "$here/inside-server" "$SERVER_INSIDE" "$WORK/blob" \
        >"$WORK/inside-server.log" 2>&1 </dev/null &
    INSIDE_PID=$!
    within 10 in_ns inside curl -sf -o /dev/null "http://$SERVER_INSIDE/" ||
        die "the inside server does not start: $(tail -n1 "$WORK/inside-server.log")"
}

network_down() {
    end_process "${INSIDE_PID:-}"
    local name
    for name in router-a router-b inside gateway wan; do
        [ -e "/run/netns/$PREFIX-$name" ] && ip netns del "$PREFIX-$name"
    done
    return 0
}

# Namespaces of runs that were killed before they could clean up: their process is gone, and nothing is in them.
network_sweep() {
    local name pid
    for name in $(ip netns list 2>/dev/null | sed -n 's/^\(culvert-[0-9]*-[a-z-]*\).*/\1/p'); do
        pid=${name#culvert-}
        pid=${pid%%-*}
        [ ! -e "/proc/$pid" ] && [ -z "$(ip netns pids "$name")" ] && ip netns del "$name"
    done
    return 0
}
