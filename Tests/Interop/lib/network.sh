# The network of one test run, all of it in network namespaces of this machine. Sourced, never run.
#
#                 inside 10.99.0.2, 10.95.0.2, fd00:99::2 (http)
#                    |
#                 [gateway] 10.99.0.1          the gateway under test runs here
#                    | 192.0.2.1, 2001:db8:2::1
#   direct     ------+------ bridge "wan" 192.0.2.0/24 ------+
#   192.0.2.11       |                                       |
#              [router-a] 192.0.2.200                  [router-b] 192.0.2.201
#                    | 192.168.77.1, masquerade              | the same private network
#           nat1 .11   nat2 .12                           far .11
#
# Besides, on the same bridge: [front] 192.0.2.100 maps UDP 500 and 4500 to the gateway's address 10.98.0.2, and [flood]
# 192.0.2.60 is the way to 198.18.0.0/15, the addresses that Tests/Interop/flood forges.
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
    router_nat "$1" masquerade
}
# router_nat ROUTER TRANSLATION: from now on all that goes out is translated so, by mappings made anew.
router_nat() {
    in_ns "$1" nft -f - <<NFT
table ip home {
}
delete table ip home
table ip home {
    chain out {
        type nat hook postrouting priority 100
        oifname "wan" meta l4proto { tcp, udp } $2
        oifname "wan" masquerade
    }
}
NFT
    in_ns "$1" conntrack -D >/dev/null 2>&1 || true # fails where there was none
}
network_front() { # a port map in front of the gateway
    network_add front
    network_link wan front front wan
    ip_in wan link set front master bridge
    ip_in front addr add "$FRONT_OUTER/24" dev wan
    network_link front gateway gateway front
    ip_in front addr add 10.98.0.1/24 dev gateway
    ip_in gateway addr add 10.98.0.2/24 dev front
    # What the gateway sends from there goes back there, although it has a shorter way.
    ip_in gateway rule add from 10.98.0.2 table 98
    ip_in gateway route add default via 10.98.0.1 table 98
    in_ns front sysctl -qw net.ipv4.ip_forward=1
    in_ns front nft -f - <<'NFT'
table ip front {
    chain in {
        type nat hook prerouting priority -100
        iifname "wan" udp dport { 500, 4500 } dnat to 10.98.0.2
    }
}
NFT
}
network_flood() { # where forged packets come from, and answers to them end
    network_add flood
    network_link wan flood flood wan
    ip_in wan link set flood master bridge
    ip_in flood addr add 192.0.2.60/24 dev wan
    ip_in gateway route add 198.18.0.0/15 via 192.0.2.60
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
    ip_in gateway addr add "$GATEWAY_OUTER_6/64" dev wan nodad
    in_ns gateway sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

    network_add inside
    network_link inside lan gateway lan
    ip_in gateway addr add "$GATEWAY_INSIDE/24" dev lan
    ip_in gateway addr add "$GATEWAY_INSIDE_6/64" dev lan nodad
    ip_in inside addr add "$SERVER_INSIDE/24" dev lan
    ip_in inside addr add "$SERVER_INSIDE_SECOND/24" dev lan
    ip_in inside addr add "$SERVER_INSIDE_6/64" dev lan nodad
    ip_in inside route add default via "$GATEWAY_INSIDE"
    ip_in inside route add default via "$GATEWAY_INSIDE_6"
    ip_in gateway route add "$SERVER_INSIDE_SECOND/32" via "$SERVER_INSIDE"

    network_router router-a "$ROUTER_A"
    network_tap router-a nat1
    network_tap router-a nat2
    network_router router-b "$ROUTER_B"
    network_tap router-b far
    network_front
    network_flood

    head -c "$((BLOB_MEGABYTES << 20))" /dev/urandom >"$WORK/blob"
    BLOB_SHA256=$(sha256sum "$WORK/blob")
    BLOB_SHA256=${BLOB_SHA256%% *}
    ip netns exec "$PREFIX-inside" /usr/bin/python3 "$here/guest/server" "$WORK/blob" "$SERVER_INSIDE" \
        "$SERVER_INSIDE_SECOND" "$SERVER_INSIDE_6" \
        >"$WORK/inside-server.log" 2>&1 </dev/null &
    INSIDE_PID=$!
    within 10 in_ns inside curl -sf -o /dev/null "http://$SERVER_INSIDE/" ||
        die "the inside server does not start: $(tail -n1 "$WORK/inside-server.log")"
}

network_down() {
    end_process "${INSIDE_PID:-}"
    local name
    for name in flood front router-a router-b inside gateway wan; do
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
