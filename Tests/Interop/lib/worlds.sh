# Worlds for throughput: for each gateway that is compared one of its own, so that they can be measured in turn. Sourced, never
# run.
#
#   [load] 192.0.2.200 --- 192.0.2.1 [gateway] 10.99.0.1 --- 10.99.0.2 [inside]
#
# Every address of CLIENTS_OUTER and of CLIENTS_INNER is the load namespace's own, every one of SERVERS the inside one's: the
# client with the n-th inner address talks to the n-th server (culvert-bench load). There may be more places like [load], each
# with a process and a cable of its own.

CLIENTS_OUTER=10.64.0.0/12
CLIENTS_INNER=172.16.0.0/16
INNER_LOCAL=172.16.0.1
INNER_POOL=172.16.0.10-172.16.255.250
SERVERS=172.24.0.0/16
LOAD_INTERFACE=load
# How long clients may take to come in, and a server of the peer to start.
LOAD_SECONDS=60
PEER_SECONDS=20

RUN_PREFIX=$PREFIX
declare -A WORLD_PID LOAD_PIDS LOAD_INPUT IPERF_PIDS
declare -a WORLDS
# Where the clients are that world_load dials in, as whom, and what their process is started by.
PLACE=load
LOAD_USER=$ALICE LOAD_PASSWORD=$ALICE_PASSWORD
LOAD_BEFORE=()

# world NAME: what follows is about this one.
world() {
    WORLD=$1
    PREFIX=$RUN_PREFIX-$1
    WORK=$RUN_WORK/$1
    SOCKET=$WORK/culvert.sock
    GATEWAY_PID=${WORLD_PID[$1]:-}
}

# world_add NAME: its namespaces, without a gateway.
world_add() {
    WORLDS+=("$1")
    world "$1"
    mkdir "$WORK"
    local name
    for name in load gateway inside; do network_add $name; done
    network_link load wan gateway wan
    network_link inside lan gateway lan
    ip_in load addr add "$ROUTER_A/24" dev wan
    ip_in gateway addr add "$GATEWAY_OUTER/24" dev wan
    ip_in gateway addr add "$GATEWAY_INSIDE/24" dev lan
    ip_in inside addr add "$SERVER_INSIDE/24" dev lan
    ip_in load route add local "$CLIENTS_OUTER" dev lo
    ip_in load route add local "$CLIENTS_INNER" dev lo
    ip_in inside route add local "$SERVERS" dev lo
    ip_in inside route add default via "$GATEWAY_INSIDE"
    ip_in gateway route add "$CLIENTS_OUTER" via "$ROUTER_A"
    ip_in gateway route add "$SERVERS" via "$SERVER_INSIDE"
    in_ns gateway sysctl -qw net.ipv4.ip_forward=1
}

# world_place NAME NUMBER: another place with clients, at 10.NUMBER.0.0/16.
world_place() {
    local outer=10.$2.0.0/16 cable=10.127.$2
    network_add "$1"
    network_link "$1" wan gateway "$1"
    ip_in "$1" addr add "$cable.2/24" dev wan
    ip_in gateway addr add "$cable.1/24" dev "$1"
    ip_in "$1" route add local "$outer" dev lo
    ip_in "$1" route add local "$CLIENTS_INNER" dev lo
    ip_in "$1" route add "$GATEWAY_OUTER/32" via "$cable.1"
    ip_in gateway route add "$outer" via "$cable.2"
}

# The gateway's configuration, instead of the one for real clients.
gateway_config() {
    cat <<YAML
psk: "$PSK"
users:
  - {name: $ALICE, password: $ALICE_PASSWORD$ALICE_MORE}
  - {name: $BOB, password: $BOB_PASSWORD}
l2tp: {network: $CLIENTS_INNER, local: $INNER_LOCAL, pool: $INNER_POOL}
masquerade: false
YAML
    printf '%s\n' "$GATEWAY_EXTRA"
}
ALICE_MORE='' # of the first user
# world_gateway [MORE-CONFIGURATION]: starts Culvert.
world_gateway() {
    GATEWAY_EXTRA=${1:-}
    gateway_start || die "$WHY"
    WORLD_PID[$WORLD]=$GATEWAY_PID
}

# world_softether: starts SoftEther VPN Server.
world_softether() {
    softether_start "$INNER_LOCAL" || die "$WHY"
    WORLD_PID[$WORLD]=$GATEWAY_PID
}

# world_load SUITE CLIENTS [OPTION...]: dials clients in, and waits until they are. Options that are given twice count as they are
# given last.
world_load() {
    local suite=$1 clients=$2 psk=$PSK
    shift 2
    [ ! -e "$WORK/commands" ] || psk=$SOFTETHER_PSK
    mkfifo "$WORK/$PLACE.input"
    ip netns exec "$PREFIX-$PLACE" "${LOAD_BEFORE[@]}" "$BENCH" load --gateway "$GATEWAY_OUTER" --suite "$suite" --clients "$clients" \
        --outer "$CLIENTS_OUTER" --inner "$CLIENTS_INNER" --servers "$SERVERS" --interface $LOAD_INTERFACE \
        --psk "$psk" --user "$LOAD_USER" --password "$LOAD_PASSWORD" --addresses "$WORK/$PLACE.clients" "$@" \
        <"$WORK/$PLACE.input" >"$WORK/$PLACE.log" 2>&1 &
    LOAD_PID=$!
    LOAD_PIDS[$WORLD]+="$LOAD_PID "
    # It runs until this is closed.
    exec {LOAD_INPUT[$WORLD-$PLACE]}>"$WORK/$PLACE.input"
    within $LOAD_SECONDS load_settled
    [ -s "$WORK/$PLACE.clients" ] && [ "$(wc -l <"$WORK/$PLACE.clients")" = "$clients" ] ||
        die "$WORLD: not all clients come in: $(tail -n1 "$WORK/$PLACE.log")"
    ip_in "$PLACE" route add "$SERVERS" dev $LOAD_INTERFACE
}
load_settled() { [ -e "$WORK/$PLACE.clients" ] || ! kill -0 "$LOAD_PID" 2>/dev/null; }

# Inner packets that the gateway's sessions have moved, both ways; 0 where it does not tell.
gateway_packets() {
    local count
    count=$(sessions 2>/dev/null | awk '{ sum += $9 + $10 } END { print sum + 0 }')
    echo "${count:-0}"
}

# world_servers CLIENTS: an iperf3 server for each client that is to move something.
world_servers() {
    local number=0 inner server
    while read -r inner server; do
        # Told its address, it answers UDP from it.
        ip netns exec "$PREFIX-inside" iperf3 -s -B "$server" -p $((5201 + number)) >"$WORK/server.$number" 2>&1 </dev/null &
        IPERF_PIDS[$WORLD]+="$! "
        number=$((number + 1))
    done < <(head -n "$1" "$WORK/load.clients")
}

# What is needed from the host.
require_worlds() {
    [ "$(id -u)" = 0 ] || die "must be root: network namespaces and TUN devices are needed"
    local tool
    export PATH=$PATH:/usr/sbin:/sbin
    for tool in ip ss iperf3 unshare sysctl /usr/bin/python3; do
        command -v $tool >/dev/null || die "no $tool: run scripts/install-packages test"
    done
    [ -x "$CULVERT" ] && [ -x "$BENCH" ] || die "build first: swift build -c release"
    [ -c /dev/net/tun ] || modprobe tun 2>/dev/null
    network_sweep
}

# world_iperf KIND CLIENTS SECONDS FILE: moves packets; KIND is tcp-up, tcp-down, udp-up or udp-down, up being from the client. Prints
# microseconds of the gateway and inner packets; what each client says is in FILE.N.
world_iperf() {
    local try counts
    for try in 1 2 3; do
        counts=$(world_iperf_once "$@") && echo "$counts" && return
        # In a flood, iperf3's first datagram may be lost, which it does not repeat.
        sleep 2
    done
    die "$WORLD, $1: iperf3 failed $try times: $(grep -hm1 error "$4".*)"
}
world_iperf_once() {
    local options=(-t "$3" -P "$IPERF_FLOWS" -J) number pids=() inner server before packets failed=0
    case $1 in *-down) options+=(-R) ;; esac
    case $1 in udp-*) options+=(-u -b "$((UDP_MEGABITS / $2))M" -l "$UDP_BYTES") ;; esac
    packets=$(gateway_packets)
    before=$(gateway_microseconds)
    for ((number = 0; number < $2; number++)); do
        read -r inner server < <(sed -n "$((number + 1))p" "$WORK/load.clients")
        ip netns exec "$PREFIX-load" timeout $(($3 + 10)) iperf3 -c "$server" -B "$inner" -p $((5201 + number)) \
            "${options[@]}" >"$4.$number" 2>&1 </dev/null &
        pids+=($!)
    done
    for number in "${!pids[@]}"; do
        wait "${pids[number]}" || failed=1
        # It may end well where it did not begin.
        grep -q '"sum_received"' "$4.$number" || failed=1
    done
    echo "$(($(gateway_microseconds) - before)) $(($(gateway_packets) - packets))"
    return $failed
}
IPERF_FLOWS=1 # of each client
UDP_MEGABITS=1000 # of all clients together: iperf3 sends datagrams one by one, and more of them starves the others here
UDP_BYTES=1300 # of payload, so that packets fit every tunnel

worlds_down() {
    local pid name
    for name in "${WORLDS[@]}"; do
        world "$name"
        for pid in ${IPERF_PIDS[$name]:-} ${LOAD_PIDS[$name]:-} ${GATEWAY_PID:-}; do end_process "$pid"; done
        for pid in load probe dial gateway inside; do ip netns del "$PREFIX-$pid" 2>/dev/null; done
    done
    PREFIX=$RUN_PREFIX
    WORK=$RUN_WORK
}
