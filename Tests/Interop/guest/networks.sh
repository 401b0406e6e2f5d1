# Networks behind a guest, which its client joins to those behind the gateway. Sourced, never run.

OWN_INSIDE=10.96.0.1        # of 10.96.0.0/24
OWN_INSIDE_SECOND=10.94.0.1 # of 10.94.0.0/24
OWN_INSIDE_6=fd00:96::1     # of fd00:96::/64

# networks_up: the guest has these networks, its route to those of the other side, and IPv6. May be called again.
networks_up() {
    local via=${ROUTER:-192.0.2.1} own=192.0.2.11
    [ -z "$ROUTER" ] || own=''
    if [ ! -e /sys/class/net/behind ]; then
        modprobe -a ipv6 dummy
        ip link add behind type dummy
        ip link set behind up
        ip addr add "$OWN_INSIDE/24" dev behind
        ip addr add "$OWN_INSIDE_SECOND/24" dev behind
        ip -6 addr add "$OWN_INSIDE_6/64" dev behind nodad
        [ -n "$ROUTER" ] || ip -6 addr add 2001:db8:2::11/64 dev vec0 nodad
    fi
    ip route replace 10.99.0.0/24 via "$via" src "$OWN_INSIDE"
    ip route replace 10.95.0.0/24 via "$via" src "$OWN_INSIDE_SECOND"
    [ -n "$ROUTER" ] || ip -6 route replace fd00:99::/64 via 2001:db8:2::1 src "$OWN_INSIDE_6"
    [ -e /run/server.pid ] || {
        # shellcheck disable=SC2086 # nothing behind a router
        python3 ./server blob $OWN_INSIDE $OWN_INSIDE_SECOND $OWN_INSIDE_6 ${own:-} >server.log 2>&1 &
        echo $! >/run/server.pid
    }
}
